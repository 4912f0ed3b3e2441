"""Exit codes of the command `screenbayes`."""

DONE, VERDICT_FAIL, BAD_INPUT, SERVICE_ERROR = 0, 1, 2, 3
INTERRUPTED, TERMINATED, HUNG_UP = 130, 143, 129
"""Ended by SIGINT (Ctrl-C), SIGTERM or SIGHUP (terminal closed)."""
BROKEN_PIPE = 141
"""The reader of the output, such as `head`, has closed the pipe; the work itself was done."""
REFUSED = VERDICT_FAIL
"""The gate refused a promotion."""
