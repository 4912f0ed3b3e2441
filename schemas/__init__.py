"""Contracts: what tables, parameters, posteriors and reports look like. Imports nothing of ours."""
