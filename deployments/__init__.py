"""Ways to start flows: the command line, a server's deployments, and containers."""
