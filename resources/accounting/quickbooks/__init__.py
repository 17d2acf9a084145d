"""QuickBooks Online, Accounting API v3: read and written."""

from resources.accounting.quickbooks.connector import LIMITS, QuickBooks, connect, credentials

__all__ = ["LIMITS", "QuickBooks", "connect", "credentials"]
