"""Simulated screens with known true values, and calibration of models and engines on them."""
