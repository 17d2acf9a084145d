"""Debits equal credits by every buyer, wherever a base shows the subconto of its entries: on the whole road."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.warehouse import Warehouse
from tests.whole_road import Company, company

NAMED = """select count(*) from raw.onec_entry
    where is_current and not deleted and payload ->> 'ExtDimensionDr1_Type' like '%Catalog_Контрагенты'"""


def broken(found: Company) -> list[str]:
    return [law.sentence for law in found.sync().laws if not law.holds]


@pytest.mark.parametrize("in_records", [False, True])
def test_entries_name_their_buyers_wherever_subconto_stand(
    warehouse: Warehouse, tmp_path: Path, in_records: bool
) -> None:
    with company(warehouse, tmp_path, "--deals", "30", "--no-limits") as found:
        found.sandbox.control("onec", {"where": "onec", "subconto_in_records": in_records})
        assert broken(found) == []
        first = warehouse.scalar(NAMED)
        assert first > 0
        found.sandbox.control("tick", {"days": 3})
        assert broken(found) == []
        assert warehouse.scalar(NAMED) >= first
        with found.road() as road:
            findings = road.source(road.accounting).check()
        assert [(f.subject, f.message) for f in findings if not f.ok] == []
