"""Validated tables to design: selection, preparation, sufficient statistics."""
