"""The stand-in holds money of everybody but buyers too, and every ready file of Бухгалтерия leaves it out by a rule."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from mappings import System, load
from resources.warehouse import Warehouse
from sandbox.onec.accounting import SETS
from sandbox.onec.base import Base
from sandbox.onec.documents import as_cash
from sandbox.onec.model import CASH_RECEIPT, CASH_WRITE_OFF, RECEIPT, WRITE_OFF
from sandbox.onec.other_money import ACCOUNTS_OF, CARD
from tests.mapping.mapping_road import ENVIRON, MAPPINGS, Road
from tests.onec.test_sandbox_onec_posting import base_of

ENTITIES = {
    "payment": (RECEIPT, "ОплатаПокупателя"), "refund": (WRITE_OFF, "ВозвратПокупателю"),
    "cash_receipt": (CASH_RECEIPT, "ОплатаПокупателя"), "cash_payment": (CASH_WRITE_OFF, "ВозвратПокупателю"),
}  # fmt: skip
KINDS = {"ОплатаПокупателя": "receipt", "ВозвратПокупателю": "refund"}
FILES = ("accounting", "demo", "sales_opportunities")


@pytest.fixture(scope="module")
def base() -> Base:
    """With a cash order of the kind of each bank document, and money of a buyer both ways."""
    made = base_of(3)
    for bank, cash in ((RECEIPT, CASH_RECEIPT), (WRITE_OFF, CASH_WRITE_OFF)):
        rows = [made.full(SETS[bank], row) for row in made.rows[bank].values()]
        if bank == WRITE_OFF:
            paid = made.full(SETS[RECEIPT], next(iter(made.rows[RECEIPT].values())))
            back = {**paid, "ВидОперации": "ВозвратПокупателю", "Ref_Key": str(uuid.uuid4())}
            made.create(SETS[WRITE_OFF], back)
            made.post(SETS[WRITE_OFF], back["Ref_Key"])
            rows.append(back)
        for row in rows:
            body = {**as_cash(made, row), "Ref_Key": str(uuid.uuid4())}
            made.create(SETS[cash], body)
            made.post(SETS[cash], body["Ref_Key"])
    return made


def operations(base: Base, name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, row in base.rows[name].items():
        found.setdefault(row["ВидОперации"], []).append(key)
    return found


@pytest.mark.parametrize("entity", ENTITIES)
def test_the_base_holds_money_of_suppliers_lenders_taxes_and_own_accounts_on_their_accounts(
    base: Base, entity: str
) -> None:
    name, of_buyers = ENTITIES[entity]
    found = operations(base, name)
    assert of_buyers in found
    assert len(found) >= 5
    for operation in found.keys() - {of_buyers}:
        for key in found[operation]:
            assert base.rows[name][key]["Posted"]
            (entry,) = base.ledger.movements[key].entries
            assert ACCOUNTS_OF[operation] in (entry.debit.account, entry.credit.account)
            assert not {entry.debit.account, entry.credit.account} & {"62.01", "62.02"}


def opened(tmp_path: Path, folder: str) -> System:
    tmp_path = tmp_path / folder
    tmp_path.mkdir()
    if folder == "accounting":
        for other in ("bitrix24", "branch"):
            (tmp_path / f"{other}.yaml").write_bytes((MAPPINGS / "demo" / f"{other}.yaml").read_bytes())
        text = (MAPPINGS / folder / "onec.yaml").read_text(encoding="utf-8")
        (tmp_path / "onec.yaml").write_text(re.sub(r"^#: ?", "", text, flags=re.M), encoding="utf-8")
        return load(tmp_path, ENVIRON, connected=False).accounting()
    return load(MAPPINGS / folder, ENVIRON, connected=False).accounting()


@pytest.mark.parametrize("folder", FILES)
def test_a_ready_file_reads_the_money_of_buyers_alone_with_its_organization(
    warehouse: Warehouse, tmp_path: Path, base: Base, folder: str
) -> None:
    system = opened(tmp_path, folder)
    read = [read.rule.from_ for read in system.reads if read.table == "ledger.payment"]
    assert set(read) == (set(ENTITIES) if folder == "accounting" else {"payment", "refund"})
    rules = [rule for found in system.reads if found.table == "ledger.payment" for rule in found.rule.ignore]
    assert [rule.rule for rule in rules] == [f"{entity}_of_others" for entity in read]
    assert all(rule.why for rule in rules)
    expected: dict[str, Any] = {}
    with warehouse.connect() as conn:
        road = Road(conn, system)
        road.ensure()
        for entity in read:
            name, of_buyers = ENTITIES[entity]
            for key, row in base.rows[name].items():
                road.put(entity, key, json.loads(json.dumps(base.full(SETS[name], row), default=str)))
                if row["ВидОперации"] == of_buyers or (entity == "payment" and row["ВидОперации"] == CARD):
                    expected[f"onec:{key}"] = (KINDS[of_buyers], f"onec:{row['Организация_Key']}")
        road.refresh("ledger.payment", everything=True)
        rows = conn.execute("select payment_key, kind, organization_key from ledger.payment").fetchall()
        conn.rollback()
    assert {key: tuple(rest) for key, *rest in rows} == expected
    (by_card,) = operations(base, RECEIPT)[CARD]
    assert base.rows[RECEIPT][by_card]["Контрагент"] not in {
        row["Контрагент"]
        for row in base.rows[RECEIPT].values()
        if row["ВидОперации"] == ENTITIES["payment"][1]
    }
