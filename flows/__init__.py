"""The order of calls, as Prefect flows."""
