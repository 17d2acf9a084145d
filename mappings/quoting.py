"""Names and values as PostgreSQL reads them: mapping files are trusted, but `O'Neil` must break nothing."""

from __future__ import annotations

import datetime
from decimal import Decimal


def literal(value: object) -> str:
    """A value as an SQL literal: text, numbers, booleans, dates, None."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return format(value, "f") if isinstance(value, Decimal) else str(value)
        case datetime.date():
            return f"date '{value.isoformat()}'"
    text = str(value)
    if "\0" in text:
        raise ValueError("a zero character cannot stand in SQL")
    quoted = text.replace("'", "''")
    # A backslash is safe under every setting of standard_conforming_strings only in this form.
    return " E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in text else f"'{quoted}'"


def identifier(name: str) -> str:
    """One name, quoted. Raises ValueError for what PostgreSQL would cut (63 bytes) or refuse."""
    if not name or "\0" in name or len(name.encode()) > 63:
        raise ValueError(f"{name!r} cannot be a name in PostgreSQL (1 to 63 bytes)")
    return '"' + name.replace('"', '""') + '"'


def table_name(name: str) -> str:
    """`schema.table`, both parts quoted."""
    return ".".join(identifier(part) for part in name.split(".", 1))
