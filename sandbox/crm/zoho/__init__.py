"""A stand-in of Zoho CRM over HTTP."""

from sandbox.crm.zoho.stand_in import TRAITS, connection, hook, routes, source_id

__all__ = ["TRAITS", "connection", "hook", "routes", "source_id"]
