"""Progress and executors of computations."""
