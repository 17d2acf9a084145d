"""A stand-in of SAP S/4HANA over HTTP."""

from sandbox.accounting.sap.stand_in import connection, do, routes, seed, tick, truth

__all__ = ["connection", "do", "routes", "seed", "tick", "truth"]
