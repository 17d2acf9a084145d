"""amoCRM (Kommo): read, and written back to where it can be."""

from resources.crm.amocrm.connector import LIMITS, AmoCRM, connect, credentials

__all__ = ["LIMITS", "AmoCRM", "connect", "credentials"]
