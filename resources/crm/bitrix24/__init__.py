"""Bitrix24: read, and written back to where it can be."""

from resources.crm.bitrix24.connector import LIMITS, Bitrix24, connect, credentials

__all__ = ["LIMITS", "Bitrix24", "connect", "credentials"]
