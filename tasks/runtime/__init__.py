"""Prefect flow runs, progress, timing, memory, and atomic writing of files."""
