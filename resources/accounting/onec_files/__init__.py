"""1C without a web server: EnterpriseData messages, CommerceML documents and bank statements in folders."""

from resources.accounting.onec_files.connector import LIMITS, OneCFiles, connect
from resources.accounting.onec_files.payments import BankStatements

__all__ = ["LIMITS", "BankStatements", "OneCFiles", "connect"]
