"""A stand-in of Megaplan over HTTP."""

from sandbox.crm.megaplan.stand_in import TRAITS, connection, hook, routes, source_id

__all__ = ["TRAITS", "connection", "hook", "routes", "source_id"]
