"""Dynamics 365 on the road: what accounting knows is written back by the ready mapping, reads back as it was meant,
and comes round neither as news nor as a change."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pipelines.feedback.write import write_back
from pipelines.news import news
from resources.warehouse import Warehouse
from tests.crms.stand_in import StandIn, errors, read
from tests.sandbox_process import running

TODAY = date(2026, 11, 20)


def test_what_is_written_back_is_verified_and_is_no_news(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running("--deals", "40", "--no-limits") as sandbox:
        crm = StandIn("dynamics", sandbox.address, sandbox.http)
        with crm.road(warehouse, tmp_path / "road", monkeypatch) as road:
            assert errors(read(road, "dynamics")) == []
            deals = sorted(key for key, deal in crm.truth().deals().items() if deal["client"])[:3]
            with warehouse.transaction() as conn:
                conn.execute(
                    """
                    insert into feedback.deal (deal_id, source, source_id, client_record_id, employee_id, title,
                        payment_status, shipment_status, invoiced, paid, debt, debt_own, currency, due_on, document_key)
                    select deal_id, source, source_id, client_record_id, employee_id, title, 'partial', 'shipped',
                        100, 60, 40, 40, 'RUB', %s, 'invoice:' || source_id
                    from core.deal where source_id = any(%s)
                    """,
                    [date(2026, 11, 1), deals],
                )
                conn.execute(
                    """
                    insert into feedback.company (client_record_id, source, source_id, debt, currency)
                    select client_record_id, 'dynamics', split_part(client_record_id, ':', 2), sum(debt_own), 'RUB'
                    from feedback.deal group by client_record_id
                    """
                )
                conn.execute(
                    """
                    insert into feedback.task (task_id, deal_id, source, source_id, employee_id, title, debt, currency, due_on)
                    select document_key, deal_id, source, source_id, employee_id, title, debt, currency, due_on
                    from feedback.deal
                    """
                )
            list(write_back(road, TODAY))
            states = warehouse.rows(
                "select kind, state, count(*) from ops.operation where target = 'dynamics' group by 1, 2 order by 1"
            )
            clients = len({crm.truth().of("deal")[key]["client"] for key in deals})
            assert states == [
                ("company", "verified", clients),
                ("deal", "verified", 3),
                ("task", "verified", 3),
            ]
            told = crm.truth()
            assert {told.of("deal")[key]["payment_status"] for key in deals} == {"Просрочено"}
            assert {told.of("deal")[key]["debt"] for key in deals} == {"40.00"}
            assert {task["deal"] for task in told.of("task").values()} == set(deals)
            assert news(road, road.mappings.system("dynamics")) is None
            assert all(batch.quiet for batch in read(road, "dynamics"))
