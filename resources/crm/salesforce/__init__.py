"""Salesforce: read, and written back to where it can be."""

from resources.crm.salesforce.connector import LIMITS, Salesforce, connect, credentials

__all__ = ["LIMITS", "Salesforce", "connect", "credentials"]
