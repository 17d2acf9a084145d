"""A 1C base at the other end of an exchange folder: EnterpriseData messages and CommerceML files."""

from sandbox.onec_exchange.base import Base, NotTaken

__all__ = ["Base", "NotTaken"]
