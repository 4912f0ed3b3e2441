"""The engines that compute a posterior: exact integrates, NUTS samples."""
