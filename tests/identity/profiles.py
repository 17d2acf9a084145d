"""Profiles of a few clients, said by what is known of each."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pipelines.core.cleaning import clean

TEXTS = ("name", "name_key", "country", "city", "address", "source", "created_at")
LISTS = ("tax_numbers", "wrong_numbers", "kpps", "phones", "emails", "contact_names")


def profiles(*clients: dict[str, Any]) -> pa.Table:
    """`id`, `name` (as somebody writes it) and columns of a profile; lists as lists, or one text for a list of one."""
    rows = []
    for place, client in enumerate(clients):
        row = dict(client)
        name = row.get("name")
        if name:
            row["name_key"] = clean("legal_name_key", [name])[0].value
            row["name"] = clean("legal_name", [name])[0].value
        rows.append({"id": f"r{place}"} | row)
    columns = {"record_id": pa.array([row["id"] for row in rows])}
    columns |= {text: pa.array([row.get(text) for row in rows], pa.string()) for text in TEXTS}
    columns |= {
        name: pa.array([_listed(row.get(name)) for row in rows], pa.list_(pa.string())) for name in LISTS
    }
    return pa.table(columns)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
