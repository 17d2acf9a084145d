"""A stand-in of Microsoft Dynamics 365 Sales over HTTP."""

from sandbox.crm.dynamics.stand_in import TRAITS, connection, hook, routes, source_id

__all__ = ["TRAITS", "connection", "hook", "routes", "source_id"]
