"""Microsoft Dynamics 365 Sales: read, and written back to where it can be."""

from resources.crm.dynamics.connector import LIMITS, Dynamics, connect, credentials

__all__ = ["LIMITS", "Dynamics", "connect", "credentials"]
