"""Loaders of the operation ledger killed at chosen moments, and what the target holds in the end."""
