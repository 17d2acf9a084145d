"""What the benchmarks compare is what core makes of the same records: their figures are those of the product."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from benchmarks.identity_many import many
from benchmarks.identity_profiles import of_clients
from pipelines.identity.changed import profiles
from pipelines.identity.features import derive
from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Warehouse
from tests.identity.clients import deployed

RECORDS = 1_500
INTO = {
    "core.client_record": "client_record_id, source, source_id, name, name_key, city, address, phone, email, created_at,"
    " is_deleted, problems",
    "core.requisite": "requisite_id, source, source_id, client_record_id, tax_number, tax_number_given, kpp, is_deleted, problems",
    "core.contact": "contact_id, source, source_id, client_record_id, full_name, is_deleted, problems",
}  # fmt: skip


@pytest.fixture(scope="module")
def warehouse(server_url: str, template: str) -> Iterator[Warehouse]:
    with deployed(server_url, template) as found:
        yield found


def mistyped(table: pa.Table) -> pa.Table:
    """Every tenth number with another last digit, so that it is not valid."""
    given = [
        f"ИНН {number[:-1]}{(int(number[-1]) + 1) % 10}" if number and place % 10 == 0 else number
        for place, number in enumerate(table["tax_number_given"].to_pylist())
    ]
    valid = [None if text and text.startswith("ИНН") else text for text in given]
    for name, values in (("tax_number_given", given), ("tax_number", valid)):
        table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))
    return table


def test_the_profiles_of_the_benchmarks_have_the_features_that_core_s_have(warehouse: Warehouse) -> None:
    table = mistyped(many(RECORDS, 8)[0])
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in INTO}
    for row in table.to_pylist():
        key, source = row["record_id"], row["source"]
        own = (row[name] for name in ("name", "name_key", "city", "address", "phone", "email", "created_at"))
        rows["core.client_record"].append((key, source, key, *own, False, []))
        if row["tax_number_given"] or row["kpp"]:
            numbers = (row["tax_number"], row["tax_number_given"], row["kpp"])
            rows["core.requisite"].append((key, source, key, key, *numbers, False, []))
        if row["contact_name"]:
            rows["core.contact"].append((key, source, key, key, row["contact_name"], False, []))
    with warehouse.transaction() as conn:
        for name, columns in INTO.items():
            with conn.cursor().copy(f"copy {name} ({columns}) from stdin".encode()) as copy:
                for values in rows[name]:
                    copy.write_row(values)
        refresh(conn, tables()["core.client_profile"], everything=True)
        made = [row for part in profiles(conn) for row in derive(part).to_pylist()]
    given = {row["record_id"]: row for row in derive(of_clients(table)).to_pylist()}
    assert len(made) == RECORDS
    assert {row["record_id"]: row for row in made} == given
    for name in ("street", "wrong_numbers", "kpps"):
        assert sum(row[name] is not None for row in made) > RECORDS / 100, name
    assert any(row["kpps"] and not row["tax_numbers"] for row in made), "no KPP stands beside no number"
