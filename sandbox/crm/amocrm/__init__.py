"""A stand-in of amoCRM (Kommo) over HTTP."""

from sandbox.crm.amocrm.stand_in import TRAITS, connection, routes

__all__ = ["TRAITS", "connection", "routes"]
