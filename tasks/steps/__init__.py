"""The Prefect tasks: a line around each function that works."""
