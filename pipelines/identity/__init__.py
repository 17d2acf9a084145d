"""Which records of the CRMs are one client."""
