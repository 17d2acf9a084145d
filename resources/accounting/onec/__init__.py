"""1C:Enterprise over standard OData: read and written."""

from typing import Final

from resources.accounting.onec.connector import LIMITS, OneC, connect
from resources.connector import Authorship

__all__ = ["AUTHORSHIP", "LIMITS", "OneC", "connect"]

AUTHORSHIP: Final = Authorship(
    by=("Автор_Key", "Ответственный_Key")
)  # keys of users, whose catalogue is not read
