"""A stand-in of QuickBooks Online over HTTP."""

from sandbox.accounting.quickbooks.stand_in import connection, do, hooks, routes, seed, tick, truth

__all__ = ["connection", "do", "hooks", "routes", "seed", "tick", "truth"]
