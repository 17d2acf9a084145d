"""Megaplan: read, and written back to where it can be."""

from resources.crm.megaplan.connector import LIMITS, Megaplan, connect, credentials

__all__ = ["LIMITS", "Megaplan", "connect", "credentials"]
