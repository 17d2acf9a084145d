"""A portal or a base that does not answer as it should: said in words, and read without loss afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from pipelines import sync
from pipelines.processes import free_port
from pipelines.raw.load import Batch
from resources.warehouse import Warehouse
from tests.bad_input.conftest import assert_says, faults
from tests.whole_road import Company, environment

Stored = dict[str, dict[str, str]]


def read(town: Company, name: str) -> list[Batch]:
    with town.road() as road:
        system = road.mappings.system(name)
        return sync.read(road, system, system.entities)


def told(batches: list[Batch]) -> str:
    """What all failed batches say together; it must be one sentence, not one an entity."""
    errors = {batch.error for batch in batches if batch.error}
    assert len(errors) == 1, errors
    return errors.pop()


def stored(warehouse: Warehouse, system: str) -> Stored:
    """Current content of every raw table of a system by id, so that loss and doubling show."""
    tables = warehouse.rows(
        "select table_name from information_schema.tables where table_schema = 'raw' and table_name like %s",
        [f"{system}\\_%"],
    )
    found: Stored = {}
    for (table,) in tables:
        rows = warehouse.rows(
            f"select source_id, md5(payload::text) from raw.{table} where not deleted and is_current"
        )
        assert len(rows) == len(dict(rows)), f"{table} holds a record twice"
        versions = warehouse.scalar(f"select count(*) from raw.{table}")
        assert versions == len(rows), f"{table} holds versions although nothing changed"
        found[table] = dict(rows)
    return found


@pytest.fixture(scope="module")
def truth(town: Company, fresh: Callable[[], Warehouse]) -> Mapping[str, Stored]:
    """What a read without any fault stores."""
    clean = replace(town, warehouse=fresh())
    for name in ("bitrix24", "onec"):
        assert not [batch.error for batch in read(clean, name) if batch.error]
    return {name: stored(clean.warehouse, name) for name in ("bitrix24", "onec")}


@pytest.fixture
def empty(town: Company, fresh: Callable[[], Warehouse]) -> Company:
    """The town's systems before an empty warehouse."""
    return replace(town, warehouse=fresh())


def test_a_wrong_webhook_secret_is_named_as_such_and_nowhere_shown(
    empty: Company, truth: Mapping[str, Stored]
) -> None:
    right = empty.sandbox.info["bitrix24"]["webhook"]
    wrong = right.replace(empty.sandbox.info["bitrix24"]["secret"], "sverka-test-secret")
    with environment({"SVERKA_BITRIX24_URL": wrong}):
        message = told(read(empty, "bitrix24"))
    assert_says(
        message,
        "bitrix24",
        "NO_AUTH_FOUND",
        "the webhook is unknown or deleted",
        "put its address into the connection",
        town=empty,
    )
    assert not [batch.error for batch in read(empty, "bitrix24") if batch.error]
    assert stored(empty.warehouse, "bitrix24") == truth["bitrix24"]


def test_a_wrong_password_of_1c_is_named_as_such_and_nowhere_shown(
    empty: Company, truth: Mapping[str, Stored]
) -> None:
    with environment({"SVERKA_ONEC_PASSWORD": "wrong-password"}):
        message = told(read(empty, "onec"))
    assert_says(message, "onec", "1C does not let user", "check user and password", town=empty)
    assert not [batch.error for batch in read(empty, "onec") if batch.error]
    assert stored(empty.warehouse, "onec") == truth["onec"]


def test_an_unreachable_portal_is_named_by_its_host(empty: Company, truth: Mapping[str, Stored]) -> None:
    with environment({"SVERKA_BITRIX24_URL": f"http://127.0.0.1:{free_port()}/rest/1/sverka-test-secret/"}):
        message = told(read(empty, "bitrix24"))
    assert_says(
        message, "bitrix24", "no connection to 127.0.0.1", "check the address and the network", town=empty
    )
    assert not [batch.error for batch in read(empty, "bitrix24") if batch.error]
    assert stored(empty.warehouse, "bitrix24") == truth["bitrix24"]


FAULTS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("bitrix24", {"where": "bitrix24", "kind": "unauthorized"}, ("bitrix24", "webhook")),
    ("onec", {"where": "onec", "kind": "unauthorized"}, ("onec", "Недостаточно прав", "give its roles")),
    (
        "bitrix24",
        {"where": "bitrix24", "kind": "html"},
        ("a page came instead of data", "Авторизация", "login"),
    ),
    ("onec", {"where": "onec", "kind": "html"}, ("a page came instead of data", "Авторизация", "login")),
    ("bitrix24", {"where": "bitrix24", "kind": "truncate"}, ("cut off", "attempts", "try again later")),
    ("onec", {"where": "onec", "kind": "truncate"}, ("cut off after", "attempts", "try again later")),
    ("bitrix24", {"where": "bitrix24", "kind": "http_503_html"}, ("503", "attempts")),
    ("onec", {"where": "onec", "kind": "drop_after"}, ("the connection broke", "attempts")),
]


@pytest.mark.parametrize(("system", "fault", "words"), FAULTS, ids=[f"{s}-{f['kind']}" for s, f, _ in FAULTS])
def test_a_fault_from_half_way_on_is_told_and_the_next_sync_has_everything_once(
    empty: Company, truth: Mapping[str, Stored], system: str, fault: dict[str, Any], words: tuple[str, ...]
) -> None:
    half_way = {"bitrix24": "batch", "onec": "Catalog_Контрагенты"}[system]
    with faults(empty, {"match": half_way, **fault}):
        batches = read(empty, system)
    assert_says(next(batch.error for batch in batches if batch.error), *words, town=empty)
    assert not [batch.error for batch in read(empty, system) if batch.error]
    assert stored(empty.warehouse, system) == truth[system]


@pytest.mark.parametrize("kinds", [("html", "truncate", "limit"), ("drop_before", "drop_after", "http_500")])
def test_faults_that_pass_are_no_error_and_cost_no_record(
    empty: Company, truth: Mapping[str, Stored], kinds: tuple[str, ...]
) -> None:
    rules: list[dict[str, object]] = [
        {"where": where, "kind": kind, "times": 1} for where in ("bitrix24", "onec") for kind in kinds
    ]
    with faults(empty, *rules):
        batches = read(empty, "bitrix24") + read(empty, "onec")
    assert [batch.error for batch in batches if batch.error] == []
    assert {name: stored(empty.warehouse, name) for name in truth} == truth
