"""The NUTS engine: models in PyMC, and their sampling."""
