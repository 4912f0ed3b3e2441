"""How flows are reached: the command line, served deployments, example datasets."""
