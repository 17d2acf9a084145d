"""A stand-in of Zoho CRM over HTTP."""

from sandbox.crm.zoho.stand_in import TRAITS, connection, routes

__all__ = ["TRAITS", "connection", "routes"]
