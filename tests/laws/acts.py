"""Every act that a history may hold; see `act`."""

from tests.laws import acts_accounting, acts_crm  # registers them
from tests.laws.act import ACCOUNTING, BRANCH, CRM, RULES, Act, do, history

__all__ = ["ACCOUNTING", "BRANCH", "CRM", "RULES", "Act", "acts_accounting", "acts_crm", "do", "history"]
