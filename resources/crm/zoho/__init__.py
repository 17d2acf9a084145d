"""Zoho CRM: read, and written back to where it can be."""

from resources.crm.zoho.connector import LIMITS, Zoho, connect, credentials

__all__ = ["LIMITS", "Zoho", "connect", "credentials"]
