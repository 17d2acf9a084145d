"""An update of 1C takes away what the mapping reads: over HTTP, on the whole road."""

from __future__ import annotations

from pathlib import Path

from resources.warehouse import Warehouse
from tests.whole_road import company

RECEIPT = "Document_ПоступлениеНаРасчетныйСчет"
STORED = "select count(*), count(*) filter (where payload ? 'СуммаДокумента') from raw.onec_payment where is_current"
STATUSES = "select payment_status, count(*) from feedback.deal group by 1 order by 1"


def test_a_property_of_payments_that_a_release_drops_leaves_them_as_they_were_until_it_is_back(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    with company(warehouse, tmp_path, "--deals", "30", "--no-limits") as found:
        found.sync()
        found.sandbox.control("tick", {"days": 5, "deals": 0})
        assert found.sync().errors == []
        [(before, whole)] = warehouse.rows(STORED)
        assert before == whole > 0
        statuses = warehouse.rows(STATUSES)
        found.sandbox.control("onec", {"where": "onec", "drop": [RECEIPT, "СуммаДокумента"]})
        found.sandbox.control("tick", {"days": 5, "deals": 0})
        done = found.sync()
        (told,) = done.errors
        assert told.startswith(f"{RECEIPT} has no СуммаДокумента, which onec.yaml reads; give the field back")
        assert told.endswith("until then what was read of it before stays as it is")
        assert {batch.entity for batch in done.batches if batch.error} == {"payment"}
        assert (warehouse.rows(STORED), warehouse.rows(STATUSES)) == ([(before, whole)], statuses)
        found.sandbox.control("onec", {"where": "onec"}, method="DELETE")
        with warehouse.transaction() as conn:
            conn.execute("update ops.shape set seen_at = seen_at - interval '1 hour'")
        done = found.sync()
        assert (done.errors, [law.sentence for law in done.laws if not law.holds]) == ([], [])
        [(after, whole)] = warehouse.rows(STORED)
        assert after == whole > before
