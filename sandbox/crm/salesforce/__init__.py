"""A stand-in of Salesforce over HTTP."""

from sandbox.crm.salesforce.stand_in import TRAITS, connection, hook, routes, source_id

__all__ = ["TRAITS", "connection", "hook", "routes", "source_id"]
