"""MLflow: runs of fits and comparisons, artifacts, models, the registry."""
