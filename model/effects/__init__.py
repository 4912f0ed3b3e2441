"""Results by gene: slopes, calls, and influence of lines and lineages."""
