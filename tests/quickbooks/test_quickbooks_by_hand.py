"""An accountant's credit memo, used on an invoice of ours: nothing of ours is taken back besides."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mappings import load
from pipelines import sync
from pipelines.operations.revisions import undo
from pipelines.sync import Road
from resources.connector import ShowsFollowers
from resources.warehouse import Warehouse
from tests.chaos.targets import environment_of, write_mappings
from tests.onec.test_followers import cheaper, plan_alone
from tests.whole_road import Company, company, environment, sync_road

_OPEN = """
    select o.subject, o.key, a.vendor_key from ops.operation o
    join ops.alias a on a.system = o.target and a.our_key = o.key
    where o.kind = 'realization' and o.action = 'create' and o.state = 'verified' and not exists (
        select from ledger.payment_line p where p.invoice_key = o.target || ':' || o.key)
    order by 1
"""


def books(found: Company, number: str) -> Decimal:
    """What the documents of a deal and the memos that are used on its invoice come to."""
    said = found.sandbox.control("accounting/quickbooks")
    settled_with = {
        other
        for payment in said["payments"].values()
        if number in payment["settles"]
        for other in payment["settles"]
    }
    invoice = said["documents"][number]
    deal = invoice["note"].partition("\n")[0]
    total = Decimal(0)
    for key, one in said["documents"].items():
        if one["kind"] == "Invoice" and one["note"].startswith(f"{deal}\n"):
            total += Decimal(one["total"])
        elif one["kind"] == "CreditMemo" and (key in settled_with or one["note"].startswith(f"{deal}\n")):
            total -= Decimal(one["total"])
    return total


@pytest.mark.parametrize("when", ["read", "unread"])
@pytest.mark.parametrize("then", ["undo", "price", "update"])
def test_a_credit_memo_of_the_accountants_is_not_doubled(
    warehouse: Warehouse, tmp_path: Path, then: str, when: str
) -> None:
    write_mappings("quickbooks", tmp_path / "maps")
    if then == "update":
        accounting = tmp_path / "maps" / "quickbooks.yaml"
        text = accounting.read_text(encoding="utf-8")
        assert "posted: {amount: reversal," in text
        accounting.write_text(
            text.replace("posted: {amount: reversal,", "posted: {amount: update,"), encoding="utf-8"
        )
    with company(warehouse, tmp_path, "--deals", "20", "--no-limits", files=False) as found:
        given = environment_of("quickbooks", found.sandbox.control)
        with environment({**given, "SVERKA_MAPPINGS": str(tmp_path / "maps")}):
            road = Road(warehouse, load(tmp_path / "maps"), "by hand")
            with warehouse.kept(), closing(road):
                sync.prepare(road)
                assert isinstance(road.target(road.accounting), ShowsFollowers)
                if then == "update":  # a memo used on an invoice may leave its version as it was
                    said = {"option": {"payment_touches": "nothing"}}
                    found.sandbox.control("accounting/quickbooks/do", said)
                sync_road(road)
                sync_road(road)
                deal, key, number = warehouse.rows(_OPEN)[0]
                assert books(found, number) > 0
                _taken_back(found, road, warehouse, deal, number, then, when)
                assert road.target(road.accounting).followers("realization", [key]).keys() == {key}


def _taken_back(
    found: Company, road: Road, warehouse: Warehouse, deal: str, number: str, then: str, when: str
) -> None:
    if when == "read":
        reverse(found, number)
        sync_road(road)
    if then in ("price", "update"):
        cheaper(found, int(deal.partition(":")[2]))
    else:
        with warehouse.transaction() as conn:
            told = undo(conn, road.accounting, deal, "realization", "Анна", "по ошибке")
        assert told.done == (when == "unread"), told.sentence
        assert told.done or "(corrected or taken back by hand)" in told.sentence
    plan_alone(road)
    if when == "unread":
        reverse(found, number)
    assert books(found, number) == 0
    sync.carry_operations(road)
    assert books(found, number) == 0
    if then == "update" and when == "unread":
        ((reason,),) = warehouse.rows(
            "select reason from ops.operation where subject = %s and action = 'update' and state = 'rejected'",
            [deal],
        )
        assert "this realization, or a correction of it, is not as we left it" in reason
    for _ in range(3):
        done = sync_road(road)
    assert books(found, number) == 0
    assert done.planned.quiet
    open_questions = warehouse.rows(
        "select told from ops.question where deal_id = %s and answer is null and withdrawn_at is null", [deal]
    )
    refused = warehouse.rows(
        "select reason from ops.operation where subject = %s and kind = 'return' and state = 'rejected'",
        [deal],
    )
    if then in ("price", "update"):  # a memo that is used on an invoice pays it
        assert [text for (text,) in open_questions if "(paid)" in text]
    elif when == "unread":
        assert [text for (text,) in refused if "(corrected or taken back by hand)" in text]


def reverse(found: Company, number: str) -> Any:
    said = found.sandbox.control("accounting/quickbooks/do", {"do": "reverse", "document": number})
    assert "error" not in said, said
    return said
