"""Notebooks as text, and as what Jupyter opens."""
