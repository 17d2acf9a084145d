"""The VAT invoice beside a sale that a person takes back."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines import sync
from resources.connector import Capabilities, Entity
from tests.laws import books
from tests.laws.books import Books
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, deal_of, only
from tests.laws.test_revisions import FOLLOWS
from tests.laws.test_undo import take_back
from tests.laws.town import DEMO, HEADER, REWORDINGS, Town

WRITTEN = f"""write:
  vat_invoice:
    entity: vat_invoice
    post: true
    fields:
{HEADER}"""
READ = """    - from: vat_invoice
      deleted: DeletionMark
      fields:
        kind: {constant: vat_invoice}
        number: Number
        document_date: {from: Date, as: date, none: ["0001-01-01T00:00:00"]}
        is_posted: Posted
        counterparty_key: {from: Контрагент_Key, ref: core.accounting_counterparty, none: *empty}
        contract_key: {from: ДоговорКонтрагента_Key, ref: core.accounting_contract, none: *empty}
        organization_key: {from: Организация_Key, ref: core.accounting_organization, none: *empty}
        currency_key: {from: ВалютаДокумента_Key, ref: core.accounting_currency, none: *empty}
        amount: {from: СуммаДокумента, as: money}
        comment: Комментарий
        version: DataVersion
"""
DUE = "documents: [invoice, realization]"


@pytest.fixture(autouse=True)
def vat_invoices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Books that hold VAT invoices, and rewordings by which they are due, written and read."""
    able, book = Books.capabilities, Books.book
    monkeypatch.setattr(books, "DOCUMENTS", (*books.DOCUMENTS, "vat_invoice"))
    monkeypatch.setattr(
        Books,
        "capabilities",
        Capabilities(
            entities=(*able.entities, Entity("vat_invoice", incremental=True)),
            writes=(*able.writes, "vat_invoice"),
            overlap_seconds=0,
            posted=able.posted,
            version=able.version,
        ),
    )
    monkeypatch.setattr(
        Books, "book", lambda self, kind, key: None if kind == "vat_invoice" else book(self, kind, key)
    )
    rule = next(line for line in (DEMO / "bitrix24.yaml").read_text().splitlines() if DUE in line)
    due = rule.replace("realization]", "realization, vat_invoice]")
    invoices = "    - from: invoice\n      deleted"
    monkeypatch.setitem(REWORDINGS, "vat_due", ("bitrix24.yaml", rule, due))
    monkeypatch.setitem(REWORDINGS, "vat_written", ("onec.yaml", "write:\n", WRITTEN))
    monkeypatch.setitem(REWORDINGS, "vat_read", ("onec.yaml", invoices, READ + invoices))


def begun(town: Town) -> str:
    town.remap(*FOLLOWS, "mixed", "vat_due", "vat_written", "vat_read")
    only(town, "21", lines=1)
    for _ in range(3):
        town.sync()
    return deal_of(town)


def vat_invoices_of(town: Town) -> list[dict[str, Any]]:
    return list(town.books.all("vat_invoice").values())


def test_none_is_written_for_a_sale_that_was_taken_back(towns: Towns) -> None:
    with towns() as town:
        town.books.refused_kinds = {"vat_invoice"}
        deal = begun(town)
        assert take_back(town, deal).done
        town.books.refused_kinds = set()
        for _ in range(2):
            sync.carry_operations(town.road, refused_too=True)
            town.sync()
        assert town.books.all("return")
        assert vat_invoices_of(town) == []
        assert town.rows("select document_key from documents.document where kind = 'vat_invoice'") == []


def test_one_that_is_posted_already_is_asked_about(towns: Towns) -> None:
    with towns() as town:
        deal = begun(town)
        assert len(vat_invoices_of(town)) == 1
        assert take_back(town, deal).done
        for _ in range(3):
            town.sync()
        assert ("vat_invoice", ["cancelled"]) in [(q["kind"], q["fields"]) for q in asked(town)]
