"""QuickBooks Online, Accounting API v3: read and written."""

from typing import Final

from resources.accounting.quickbooks.connector import LIMITS, QuickBooks, connect, credentials
from resources.connector import Authorship

__all__ = ["AUTHORSHIP", "LIMITS", "QuickBooks", "connect", "credentials"]

AUTHORSHIP: Final = Authorship(at=("MetaData.CreateTime",))
