"""The laws of the road (docs: laws), held over random histories of a small company kept in Python.

`portal` is a CRM that speaks Bitrix24's shapes, `books` an accounting system that speaks 1C's; `town` joins
them to the road on a real PostgreSQL; `acts` is what people do on either side; `reckoning` works out in
plain Python what the road must arrive at.
"""
