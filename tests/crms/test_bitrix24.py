"""Bitrix24 by its ready mapping file against its stand-in: core is what the portal truly holds, whatever people did."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from mappings import load
from pipelines import sync
from pipelines.news import news
from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.crms.bitrix24_people import DEAL, People, listed
from tests.crms.bitrix24_truth import more_differences, truth_of
from tests.crms.stand_in import ACCOUNTING, MAPPINGS, errors, read
from tests.crms.truth import differences, living
from tests.crms.written_back import Shown, Task, to_be_done, to_be_shown
from tests.sandbox_process import Running, running
from tests.whole_road import addresses, sync_road

DEALS = 150
CHANGES = 500
CHANGES_AMONG_FAULTS = 200
RETRIES = 12
FAULTS = (
    "drop_before",
    "drop_after",
    "http_500",
    "http_503_html",
    "truncate",
    "html",
    "limit",
    "unauthorized",
)
APPLICATION = """
  client_id: "local.SECRET"
  client_secret: "secret-SECRET"
  refresh_token: "refresh-SECRET-0"
  token_server: "ADDRESS/bitrix24/oauth/token/"
"""


@pytest.fixture
def portal() -> Iterator[Running]:
    with running("--deals", str(DEALS), "--no-limits") as sandbox:
        yield sandbox


@contextlib.contextmanager
def connected(
    portal: Running,
    warehouse: Warehouse,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    application: bool = False,
    accounting: bool = False,
) -> Iterator[Road]:
    """A road of this portal, by the webhook or as a local application; into the sandbox's 1C where told so."""
    folder.mkdir()
    shutil.copy(MAPPINGS / "demo" / "bitrix24.yaml", folder)
    shutil.copy(MAPPINGS / "demo" / "onec.yaml", folder)
    if application:
        file = folder / "bitrix24.yaml"
        keys = APPLICATION.replace("SECRET", portal.info["bitrix24"]["secret"]).replace(
            "ADDRESS", portal.address
        )
        text = file.read_text(encoding="utf-8")
        changed = re.sub(r'\n  url: "\$\{SVERKA_BITRIX24_URL\}"\n', keys, text)
        assert changed != text
        file.write_text(changed, encoding="utf-8")
    books = addresses(portal, folder) if accounting else ACCOUNTING
    for name, value in {
        **books,
        "SVERKA_BITRIX24_URL": portal.webhook,
        "SVERKA_MAPPINGS": str(folder),
    }.items():
        monkeypatch.setenv(name, value)
    road = Road(warehouse, load(folder), "test")
    with warehouse.kept(), contextlib.closing(road):
        sync.prepare(road)
        yield road


def told_of(found: list[str]) -> set[int]:
    """The deals that these sentences are about; any other sentence is an error."""
    matches = [re.match(r"(?:lines of )?deal (\d+)", sentence) for sentence in found]
    assert all(matches), "\n".join(found)
    return {int(match[1]) for match in matches if match}


def test_core_is_the_portals_truth_after_500_changes_and_a_night_and_as_if_built_from_nothing(
    portal: Running,
    warehouse: Warehouse,
    second_warehouse: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with connected(portal, warehouse, tmp_path / "first", monkeypatch) as road:
        assert errors(read(road, "bitrix24")) == []
        assert differences(warehouse, truth_of(portal)) == []
        assert more_differences(warehouse, portal) == []

        people = People(portal, random.Random(24))
        quiet = {people.change_lines_quietly() for _ in range(5)}
        assert errors(read(road, "bitrix24")) == []
        left = differences(warehouse, truth_of(portal))
        assert told_of(left) == quiet  # their stamps did not move
        assert errors(read(road, "bitrix24", sweep=True)) == []
        # Rows that were set anew have other ids, and the sweep sees these; of the deals themselves only their sums.
        swept = differences(warehouse, truth_of(portal))
        assert told_of(swept) <= quiet
        assert [s for s in left if s.startswith("lines")]
        assert not [s for s in swept if s.startswith("lines")]

        people.work(CHANGES)
        assert {"merge_companies", "merge_contacts", "import_deal", "delete_deal", "a_day"} <= set(
            people.done
        )
        assert errors(read(road, "bitrix24")) == []
        assert told_of(differences(warehouse, truth_of(portal))) <= people.quiet
        assert more_differences(warehouse, portal) == []

        assert errors(read(road, "bitrix24", sweep=True)) == []  # lines of deals that are gone wait for it
        assert errors(read(road, "bitrix24", full=True)) == []  # the night
        assert differences(warehouse, truth_of(portal)) == []
        assert more_differences(warehouse, portal) == []
        assert all(batch.quiet for batch in read(road, "bitrix24"))

    with connected(portal, second_warehouse, tmp_path / "second", monkeypatch) as fresh:
        assert errors(read(fresh, "bitrix24")) == []
    assert living(warehouse, "bitrix24") == living(second_warehouse, "bitrix24")


def test_an_application_loses_nothing_where_everything_fails_now_and_then(
    portal: Running, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.http.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("resources.http.LONGEST_PAUSE", 0.002)
    monkeypatch.setattr("resources.crm.bitrix24.portal.LIMIT_PAUSE", 0.002)
    with connected(portal, warehouse, tmp_path / "road", monkeypatch, application=True) as road:
        for full in (False, True):
            for kind in FAULTS:
                rule = {
                    "where": "bitrix24",
                    "match": "/rest/",
                    "kind": kind,
                    "times": None,
                    "probability": 0.03,
                }
                portal.control("faults", rule)
            _until_sound(road, full=full)
            portal.control("faults", method="DELETE")
            assert differences(warehouse, truth_of(portal)) == []
            assert more_differences(warehouse, portal) == []
            if not full:
                People(portal, random.Random(25)).work(CHANGES_AMONG_FAULTS)


def test_statuses_debts_and_tasks_come_back_without_an_echo(
    portal: Running, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(portal, warehouse, tmp_path / "road", monkeypatch, accounting=True) as road:
        assert sync_road(road).errors == []
        today = datetime.now(UTC).date()
        made = to_be_done(warehouse, "bitrix24", today)
        assert portal.control("tick", {"days": 12, "deals": 0})["accounting"], "nobody has paid in these days"
        sync_road(road)
        meant = to_be_shown(warehouse, tmp_path / "road" / "bitrix24.yaml", today)
        assert shown(portal) == meant
        assert len({payment for payment, _, _ in meant.values()}) > 2, "paid, overdue and others"
        made |= to_be_done(warehouse, "bitrix24", today)  # a task stays when its document was paid
        assert tasks(portal) == made
        assert made

        third = sync_road(road)
        assert third.planned.new == 0
        assert third.written_back[0].startswith("bitrix24: 0 planned, 0 written back"), third.written_back
        assert news(road, road.mappings.system("bitrix24")) is None, "our own write-back is told as news"
        assert tasks(portal) == made


def shown(portal: Running) -> dict[str, Shown]:
    """By deal what the portal shows, of those that show anything."""
    found = {}
    for row in listed(portal, "crm.item.list", "items", entityTypeId=DEAL, select=["*", "UF_*"]):
        payment, shipment = row["ufCrmSverkaPaymentStatus"], row["ufCrmSverkaShipmentStatus"]
        if payment or shipment:
            found[str(row["id"])] = (payment, shipment, Decimal(str(row["ufCrmSverkaDebt"] or 0)))
    return found


def tasks(portal: Running) -> Counter[Task]:
    """Tasks of deals; those about duplicates are of companies."""
    rows = listed(portal, "tasks.task.list", "tasks", select=["ID", "RESPONSIBLE_ID", "UF_CRM_TASK"])
    return Counter(
        (deal.removeprefix("D_"), str(row["responsibleId"]))
        for row in rows
        for deal in row["ufCrmTask"]
        if deal.startswith("D_")
    )


def _until_sound(road: Road, *, full: bool) -> None:
    """Read until a read ends well, as the sensor does; a failed one keeps what it received."""
    for _ in range(RETRIES):
        found = errors(read(road, "bitrix24", full=full))
        if not found:
            return
    raise AssertionError(f"no read of {RETRIES} ended well: {found}")
