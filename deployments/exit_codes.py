"""What the exit codes of the command `screenbayes` mean; the words are in its help."""

DONE, VERDICT_FAIL, BAD_INPUT, TROUBLE, INTERRUPTED = 0, 1, 2, 3, 130
REFUSED = VERDICT_FAIL
"""The gate refused a fit."""
