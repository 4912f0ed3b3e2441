"""Benchmarks: scripts that print tables, each against named peers in the same run.

Not part of the installed package; each is run from the repository: `python -m benchmarks.NAME`.
"""
