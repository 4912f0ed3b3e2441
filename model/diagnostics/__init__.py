"""Diagnostics of a posterior: convergence, summaries, the verdict."""
