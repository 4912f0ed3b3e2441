"""How flows are reached: the command line, a server's deployments, and containers."""
