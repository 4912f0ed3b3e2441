"""How flows are reached: the command line and the demonstration."""
