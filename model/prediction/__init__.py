"""Predictions of a fit: replicates, checks, left-out gene-line pairs, new lines."""
