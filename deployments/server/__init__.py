"""Servers, their registration, and the environment of flows."""
