"""Comparison of two fits of one dataset: differences, their causes, promotion."""
