"""CSV and XLSX exports in a folder, read as a CRM."""

from resources.crm.files.connector import LIMITS, Files, connect

__all__ = ["LIMITS", "Files", "connect"]
