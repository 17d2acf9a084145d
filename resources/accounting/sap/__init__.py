"""SAP S/4HANA over its released OData services: read and written."""

from resources.accounting.sap.connector import LIMITS, Sap, connect, credentials

__all__ = ["LIMITS", "Sap", "connect", "credentials"]
