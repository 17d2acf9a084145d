"""1C:Enterprise over standard OData: read and written."""

from resources.accounting.onec.connector import LIMITS, OneC, connect

__all__ = ["LIMITS", "OneC", "connect"]
