"""The company's records as any CRM keeps them, before a vendor's words."""
