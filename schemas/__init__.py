"""Contracts of tables, parameters, posteriors and reports. Imports no other package here."""
