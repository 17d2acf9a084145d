"""A stand-in of amoCRM (Kommo) over HTTP."""

from sandbox.crm.amocrm.stand_in import TRAITS, connection, hook, routes, source_id

__all__ = ["TRAITS", "connection", "hook", "routes", "source_id"]
