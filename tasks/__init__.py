"""Adapters to the world: reading tables, engines with progress, MLflow. No arithmetic."""

import os

# MLflow reads these when it is first imported. What it would log, its exceptions say too.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Where the worker that reads what a flow prints has died, printing ends the flow.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
