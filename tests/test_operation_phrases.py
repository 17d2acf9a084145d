"""Why an operation is held, in Russian: nothing that we say of it stays English."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from pipelines.feedback.write import REMEDY
from pipelines.operations import desired, plan
from pipelines.operations.bases import Base, changed
from pipelines.operations.carried import Operation
from pipelines.operations.carrier import Carrier
from pipelines.operations.compare import differences
from pipelines.operations.entered import _sentence
from pipelines.operations.phrases import KINDS, in_russian
from pipelines.shapes import _told
from resources.connector import Entered

ENGLISH = re.compile(r"[A-Za-z_]{2,}")
NAMES = {"onec", "CRM", "crm", "yaml", "mappings", "accounting", "feedback"}  # of systems and files


def faults() -> list[str]:
    """Everything that reading back can say against a record."""
    carrier: Any = SimpleNamespace(
        target=SimpleNamespace(system="onec"), posted_field="Posted", overtaken=set(), owned=lambda *_: (),
        remedy=REMEDY.format(file="crm.yaml"),
    )  # fmt: skip
    meant = {
        "Сумма": "10",
        "Склад": "1",
        "Товары": [{"Цена": "5"}],
        "Услуги": [],
        **{f"Поле{n}": "а" for n in range(5)},
    }
    found = {"Сумма": "11", "Товары": [{"Цена": "6"}], "Услуги": [{}], **{f"Поле{n}": "б" for n in range(5)}}
    told = []
    for kind in KINDS:
        sent = {
            action: Operation(uuid4(), kind, action, "k", "", meant, 0, None)
            for action in ("create", "update", "post", "unpost")
        }
        carrier.overtaken = {sent["update"].operation_id}
        told += [
            Carrier._fault(carrier, sent["create"], None),
            Carrier._fault(carrier, sent["create"], found),
            Carrier._fault(carrier, sent["update"], found),
            Carrier._fault(carrier, sent["post"], {"Posted": False}),
            Carrier._fault(carrier, sent["unpost"], {"Posted": True}),
        ]
    assert all(told)
    return told


def holds() -> list[str]:
    """What is said before anything is sent."""
    period = re.search("format\\('(.*?)'", desired._IN_CLOSED_PERIOD)
    draft = re.search("'reason',\\s*'(.*?)'", plan._TO_WAIT)
    there = re.sub(r".*format\('|', p\.until\).*", "", desired.PERIOD_CLOSED_THERE)
    assert period
    assert draft
    assert there.startswith("the period up to %%s is closed in accounting, and")
    system: Any = SimpleNamespace(path=SimpleNamespace(name="onec.yaml"))
    absent = [
        f"mappings/accounting/onec.yaml:17 names {what} '1', which accounting does not have; correct it, or create it there"
        for what in ("account", "warehouse")
    ]
    fields = [_told("Документ", ["Сумма", "Склад"], does, system) for does in ("writes", "reads")]
    deleted = re.search("'%s (''%s''.*?)'", desired._OF_DELETED)
    assert deleted
    gone = [
        f"{kind} {deleted[1].replace(chr(39) * 2, chr(39)) % 'Стол'}"
        for kind in ("counterparty", "contract", "product")
    ]
    entered = [
        _sentence(kind, Entered("7", "Стол", "7701234567", branch))
        for kind in KINDS
        for branch in ("", "770101001")
    ]
    closed = [said.replace("%%s", str(date(2026, 3, 31))) for said in (period[1], there)]
    return [*entered, *closed, draft[1], *absent, *fields, *gone]


def refusals() -> list[str]:
    """Why a correction or a return does not leave: what it rests on is another by now."""
    lines = {"Товары": [{"Сумма": "900.00"}]}
    base = Base("k", "correction", "b", frozenset({"2"}), False, "", "1", None)
    told = [
        changed("onec", one, body, "Version", "Posted", lines)
        for one, body in (
            (base, None),
            (base, {"Version": "3"}),
            (base, {"Version": "2", "Товары": [{"Сумма": "950.00"}]}),
            (replace(base, amiss="changed, deleted, not posted"), {"Version": "2"}),
            (replace(base, is_passed_over=True), {"Version": "2", "Posted": True}),
        )
    ]
    return [str(refusal) for refusal in told]


def test_what_follows_what_we_know_is_refused_for_nothing() -> None:
    base = Base("k", "correction", "b", frozenset({"1", "2"}), False, "", "1", None)
    held = {"Version": "2", "Товары": [{"Сумма": "900.00"}], "Комментарий": "другой"}
    written = {"Товары": [{"Сумма": "900.00"}], "Комментарий": "наш"}
    assert changed("onec", base, held, "Version", "Posted", written) is None


@pytest.mark.parametrize("reason", [*faults(), *holds(), *refusals()])
def test_nothing_that_we_say_of_a_held_operation_stays_english(reason: str) -> None:
    assert set(ENGLISH.findall(in_russian(reason))) <= NAMES, in_russian(reason)
    assert set(ENGLISH.findall(in_russian(f"{reason}; {reason}"))) <= NAMES, "nor beside another"


def test_values_and_days_stay_what_they_are() -> None:
    for closed in (told for told in holds() if told.startswith("the period")):
        assert in_russian(closed).startswith("период по 31.03.2026 в учёте закрыт")
    told = differences({"Нет": "1", "Сумма": 5, "Ещё": "2"}, {"Сумма": "6"})
    assert in_russian("; ".join(told)) == (
        "Нет: отправлено 1, такого поля в учёте нет; Сумма: отправлено 5, в учёте 6; Ещё: отправлено 2, такого поля в учёте нет"
    )
    assert in_russian("Документ не проведён: нет прав") == "Документ не проведён: нет прав"
