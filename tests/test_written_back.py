"""What managers see in their CRM when what was shown is so no longer, or when somebody wrote over it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.feedback.overwritten import MOST_A_DAY
from pipelines.feedback.write import write_back
from resources.connector import SourceError
from resources.crm.bitrix24.connector import Bitrix24
from resources.warehouse import Warehouse
from tests.whole_road import Company, company

DEAL, CLIENT = 2, 4  # types of the portal
NOTHING = {"ufCrmSverkaPaymentStatus": "", "ufCrmSverkaShipmentStatus": "", "ufCrmSverkaDebt": 0}
DEBT = "UF_CRM_SVERKA_DEBT"  # as it is written and read back
INVOICE = "Document_СчетНаОплатуПокупателю"


@pytest.fixture
def found(warehouse: Warehouse, tmp_path: Path) -> Iterator[Company]:
    with company(warehouse, tmp_path, "--deals", "80", "--no-limits", files=False) as made:
        assert made.sync().errors == []
        yield made


def shown(found: Company, kind: int, number: str) -> dict[str, Any]:
    item = found.sandbox.call("crm.item.get", entityTypeId=kind, id=int(number))["result"]["item"]
    return {name: value for name, value in item.items() if name.startswith("ufCrmSverka")}


def change(found: Company, number: str, **fields: Any) -> None:
    found.sandbox.call("crm.item.update", entityTypeId=DEAL, id=int(number), fields=fields)


def unpaid(found: Company) -> list[tuple[Any, ...]]:
    """Deals of one document that nobody has paid, each the only one of its client: number, client, debt, document."""
    return found.warehouse.rows(
        """
        select d.source_id, c.source_id, d.debt, split_part(d.document_key, ':', 2), d.due_on
        from feedback.deal d join core.client_record c using (client_record_id)
        where d.source = 'bitrix24' and d.debt > 0 and d.paid = 0
          and (select count(*) from feedback.deal o where o.client_record_id = d.client_record_id) = 1
          and exists (select from ledger.position p where p.document_key = d.document_key and p.kind = 'invoice')
        order by d.deal_id
        """
    )


def test_a_debt_that_is_no_more_is_shown_no_more(found: Company) -> None:
    moved, dropped = unpaid(found)[:2]
    taken = {moved[1], dropped[1]}
    other = next(
        number
        for (number,) in found.warehouse.rows(
            "select source_id from core.client_record where source = 'bitrix24' and not is_deleted order by 1"
        )
        if number not in taken
    )
    change(found, moved[0], companyId=int(other))
    onec = found.sandbox.info["onec"]
    found.sandbox.http.patch(
        f"{onec['odata']}{INVOICE}(guid'{dropped[3]}')?$format=json",
        json={"DeletionMark": True},
        auth=(onec["user"], onec["password"]),
    ).raise_for_status()
    found.sync()
    assert shown(found, CLIENT, moved[1])["ufCrmSverkaDebt"] == 0
    assert shown(found, DEAL, moved[0])["ufCrmSverkaDebt"] == float(moved[2])
    assert shown(found, DEAL, dropped[0]) == NOTHING
    assert shown(found, CLIENT, dropped[1])["ufCrmSverkaDebt"] == 0
    found.sync()
    assert found.sync().written_back == ["bitrix24: 0 planned, 0 written back"]


def test_a_deal_that_moves_back_is_overdue_by_the_day_that_was_sent(found: Company) -> None:
    today = datetime.now(UTC).date()
    rows = found.warehouse.rows(
        "select source_id, due_on from feedback.deal"
        " where source = 'bitrix24' and debt > 0 and due_on > %s order by source_id",
        [today],
    )
    assert rows
    tasks = "select count(*) from ops.operation where kind = 'task'"
    before = {number: shown(found, DEAL, number) for number, _ in rows}
    made = found.warehouse.scalar(tasks)
    for number, _ in rows:
        stage = found.sandbox.call("crm.item.get", entityTypeId=DEAL, id=int(number))["result"]["item"][
            "stageId"
        ]
        change(found, number, stageId="C1:NEW" if stage.startswith("C1") else "NEW")
    found.sync()
    due = dict(found.warehouse.rows("select source_id, due_on from feedback.deal where source = 'bitrix24'"))
    assert {number: due[number] for number, _ in rows} == dict(rows)
    assert {number: shown(found, DEAL, number) for number, _ in rows} == before
    assert found.warehouse.scalar(tasks) == made


def test_what_somebody_wrote_over_ours_is_put_right_a_few_times_a_day_and_then_told(
    found: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr("pipelines.feedback.write.tell_people", lambda _, message: heard.append(message))
    number, _, debt, *_ = unpaid(found)[0]
    ours = shown(found, DEAL, number)
    assert ours["ufCrmSverkaDebt"] == float(debt)
    theirs = {"ufCrmSverkaDebt": 0, "ufCrmSverkaPaymentStatus": "Оплачено"}
    for _ in range(MOST_A_DAY):
        time.sleep(2)  # the stamp of our write is a whole second
        change(found, number, **theirs)
        assert found.sync().written_back == ["bitrix24: 1 planned, 1 written back"]
        assert shown(found, DEAL, number) == ours
    quiet = found.sync()
    assert quiet.written_back == ["bitrix24: 0 planned, 0 written back"], "our own write came round"
    assert sum(b.changed for b in quiet.batches) == 0

    # The stamp of our write is a whole second; what comes later has another one.
    time.sleep(2)
    change(found, number, **theirs)
    for _ in range(2):
        (line,) = found.sync().written_back
        assert line.startswith("bitrix24: 0 planned, 0 written back; ")
        assert f"deal {number}: our values were put back {MOST_A_DAY} times today" in line
        assert shown(found, DEAL, number)["ufCrmSverkaDebt"] == 0
    assert len(heard) == 1, "people are told once a day"
    with found.road() as road:
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        list(write_back(road, tomorrow))
    assert shown(found, DEAL, number)["ufCrmSverkaDebt"] == float(debt)


def test_a_crm_that_cannot_be_looked_at_is_written_to_all_the_same(
    found: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, *_ = unpaid(found)[0]
    change(found, number, ufCrmSverkaDebt=0)

    def refuse(*_: object) -> None:
        raise SourceError("the portal does not answer")

    with monkeypatch.context() as broken:
        broken.setattr("pipelines.feedback.write.look", refuse)
        (line,) = found.sync().written_back
    assert "what the CRM shows of each deal could not be looked at: the portal does not answer" in line
    assert found.sync().written_back == ["bitrix24: 1 planned, 1 written back"]


def test_a_crm_that_rounds_is_told_with_cause_and_remedy_until_it_keeps_what_is_written(
    found: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, _, debt, *_ = next(row for row in unpaid(found) if row[2] != row[2].to_integral_value())
    change(found, number, ufCrmSverkaDebt=0)
    time.sleep(2)  # at the stamp of before, nothing would seem to have come of our write
    real = Bitrix24.find

    def rounded(self: Bitrix24, kind: str, keys: Sequence[str]) -> Mapping[str, Any]:
        return {
            key: {**body, DEBT: round(Decimal(body[DEBT]))} if kind == "deal" and key == number else body
            for key, body in real(self, kind, keys).items()
        }

    told = (
        f"1 held, as deal {number}: bitrix24 holds something else than was sent: {DEBT}: meant {debt}, "
        f"found {round(debt)}. The CRM rounds it, or a rule there rewrites it: let the field keep what is written "
        "(of money two digits after the point), or take it out of `feedback` in "
    )
    with monkeypatch.context() as rounding:
        rounding.setattr(Bitrix24, "find", rounded)
        for _ in range(2):
            (line,) = found.sync().written_back
            assert told in line
    assert found.sync().written_back == ["bitrix24: 0 planned, 0 written back"]
