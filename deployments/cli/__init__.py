"""The command `screenbayes`: subcommands, options, tables and exit codes."""
