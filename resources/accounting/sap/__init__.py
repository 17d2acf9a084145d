"""SAP S/4HANA over its released OData services: read and written."""

from typing import Final

from resources.accounting.sap.connector import LIMITS, Sap, connect, credentials
from resources.connector import Authorship

__all__ = ["AUTHORSHIP", "LIMITS", "Sap", "connect", "credentials"]

AUTHORSHIP: Final = Authorship(by=("CreatedByUser",), at=("CreationDate",))
