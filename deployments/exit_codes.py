"""What the exit codes of the command `screenbayes` mean; the words are in its help."""

DONE, VERDICT_FAIL, BAD_INPUT, TROUBLE = 0, 1, 2, 3
INTERRUPTED, TERMINATED, HUNG_UP = 130, 143, 129
"""Ended as by Ctrl-C, by a request to terminate or by the closing of the terminal."""
NOT_READ = 141
"""Who was to read what is printed, as `head`, has gone; the work itself was done before."""
REFUSED = VERDICT_FAIL
"""The gate refused a fit."""
