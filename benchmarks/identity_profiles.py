"""The corpora as the engine reads records: profiles of clients, and people by its names of their columns."""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.identity_corpora import Corpus
from pipelines.core.cleaning import clean

PEOPLE: Final = {
    "soc_sec_id": "number",
    "suburb": "town",
    "first_name": "given_name",
    "dob": "date_of_birth",
    "city": "town",
}


def profile(corpus: Corpus) -> pa.Table:
    if corpus.shape != "clients":
        names = corpus.table.column_names
        return corpus.table.rename_columns([PEOPLE.get(name, name) for name in names])
    names = clean("legal_name", [name or "" for name in corpus.table["name"].to_pylist()])
    at = corpus.table.column_names.index("name")
    cleaned = pa.array([name.value for name in names], pa.string())
    return of_clients(corpus.table.set_column(at, "name", cleaned))


def of_clients(table: pa.Table) -> pa.Table:
    """The columns of `core.client_profile`, as it makes them of such records."""
    wrong = [
        re.sub(r"\D", "", given) if given and not number else None
        for given, number in zip(
            table["tax_number_given"].to_pylist(), table["tax_number"].to_pylist(), strict=True
        )
    ]
    return pa.table(
        {
            "client_record_id": table["record_id"],
            "source": table["source"],
            "name": table["name"],
            "name_key": table["name_key"],
            "country": pa.nulls(table.num_rows, pa.string()),
            "city": table["city"],
            "address": table["address"],
            "created_at": table["created_at"],
            "tax_numbers": listed(table["tax_number"]),
            "wrong_numbers": listed(pa.array(wrong, pa.string())),
            "kpps": listed(table["kpp"]),
            "phones": listed(table["phone"]),
            "emails": listed(table["email"]),
            "contact_names": listed(table["contact_name"]),
        }
    )


def listed(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A list of one text or of none for each value."""
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    there = pc.is_valid(flat).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(there)])
    return pa.ListArray.from_arrays(offsets, flat.drop_null())
