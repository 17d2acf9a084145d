"""The ready mappings of exports, each alone with 1C: what a sheet says, down the whole road to 1C's documents."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from resources.warehouse import Warehouse
from tests.files.test_files_exports import CLIENT_MERGES, CLIENTS, DEAL_HEAD, ONEC, ONEC_MERGES, as_workbook
from tests.sandbox_process import Running, running
from tests.whole_road import DEMO, PRODUCTS, Company, addresses, environment, rest

EXPORTS = DEMO.parent / "exports"
Opened = Callable[[str], Any]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--deals", "10", "--no-limits") as found:
        yield found


@pytest.fixture
def alone(sandbox: Running, warehouse: Warehouse, tmp_path: Path) -> Opened:
    """A company of this one sheet and 1C."""

    @contextmanager
    def opened(name: str) -> Iterator[Company]:
        folder, drop = tmp_path / "mappings", tmp_path / "drop"
        folder.mkdir()
        drop.mkdir()
        shutil.copy(EXPORTS / f"{name}.yaml", folder)
        shutil.copy(DEMO / "onec.yaml", folder)
        with environment({**addresses(sandbox, drop), "SVERKA_MAPPINGS": str(folder)}):
            yield Company(sandbox, warehouse, drop)

    return opened


def put(company: Company, name: str, content: bytes) -> None:
    (company.drop / name).write_bytes(content)
    rest(company.drop)


def lines_of(company: Company, deal: str, kind: str) -> list[tuple[str, str, Decimal]]:
    """Section, product and sum of each line of a deal's one document in 1C."""
    names = {row["Ref_Key"]: row["Description"] for row in company.odata(PRODUCTS)}
    (document,) = company.ours()[deal, kind]
    return [
        (section, names[line["Номенклатура_Key"]], Decimal(line["Сумма"]))
        for section in ("Товары", "Услуги")
        for line in document.get(section, [])
    ]


def known_products(company: Company) -> list[str]:
    """Names of goods that 1C has once."""
    rows = [row for row in company.odata(PRODUCTS) if not row["IsFolder"] and not row["DeletionMark"]]
    names = [row["Description"] for row in rows]
    return [row["Description"] for row in rows if names.count(row["Description"]) == 1 and not row["Услуга"]]


def test_a_deal_list_alone_carries_its_deals(alone: Opened) -> None:
    with alone("deal_list") as company:
        known = known_products(company)[0]
        mine = ["ООО «Ромашка»", 7707083893, "773601001", "Иванов И."]
        rows = [
            DEAL_HEAD,
            ["Д-1", "05.03.2026", *mine, "Закрыта", "12.03.2026", known, "шт", 2, "1 500,50 ₽", "22%", 3001],
            ["Д-1", "05.03.2026", *mine, "Закрыта", "12.03.2026", "Полка «Новинка»", "шт", 1, 400, "22%", 400],
            ["Д-1", "05.03.2026", *mine, "Закрыта", "12.03.2026", "Сборка новинки", "усл", 1, 99.5, "Без НДС", 99.5],
            ["Д-2", "06.03.2026", *mine, "Счёт выставлен", None, "ПОЛКА «Новинка»", "шт", 3, 400, "22%", 1200],
        ]  # fmt: skip
        put(company, "Сделки.xlsx", as_workbook(rows))
        done = company.sync()
        assert (done.errors, company.held(), done.carried.rejected) == ([], {}, 0)
        assert {deal: sorted(kind for found, kind in company.ours() if found == deal) for deal, _ in company.ours()} == {
            "deal_list:Д-1": ["invoice", "realization"], "deal_list:Д-2": ["invoice"],
        }  # fmt: skip
        # One product, whatever the case of its letters.
        (shelf,) = (
            row["Description"] for row in company.odata(PRODUCTS) if "новинка»" in row["Description"].lower()
        )
        assert lines_of(company, "deal_list:Д-1", "realization") == [
            ("Товары", known, Decimal(3001)), ("Товары", shelf, Decimal(400)),
            ("Услуги", "Сборка новинки", Decimal("99.5")),
        ]  # fmt: skip
        assert lines_of(company, "deal_list:Д-2", "invoice") == [("Товары", shelf, Decimal(1200))]
        assert all(law.holds for law in done.laws)


def test_sums_that_name_another_currency_hold_their_deal_and_no_other(alone: Opened) -> None:
    with alone("deal_list") as company:
        known = known_products(company)[0]
        mine = ["ООО «Лютик»", 7736050003, "773601001", "Иванов И."]
        written = ["1000 USD", "€1000", "$ 1,000.00", "1 000,00 руб.", "1000 KZT", "RUB 1000"]
        rows = [
            [f"В-{n}", "05.03.2026", *mine, "Закрыта", "12.03.2026", known, "шт", 1, sum_, "22%", sum_]
            for n, sum_ in enumerate(written)
        ]
        put(company, "Сделки.xlsx", as_workbook([DEAL_HEAD, *rows]))
        assert company.sync().errors == []
        held = {deal: set(checks) for deal, checks in company.held().items()}
        assert held == {f"deal_list:В-{n}": {"line_currency"} for n in (0, 1, 2, 4)}
        assert {deal for deal, _ in company.ours() if "В-" in deal} == {"deal_list:В-3", "deal_list:В-5"}
        assert company.held()["deal_list:В-0"]["line_currency"] == (
            f"deal В-0 (deal_list), line 1: the sums of '{known}' are written in USD, the deal is in RUB; correct the sums, or"
            " the deal's currency at the source"
        )


def test_a_report_of_1c_crm_alone_carries_its_deals(alone: Opened) -> None:
    with alone("onec_crm") as company:
        known = known_products(company)[1]
        rows = [[{"Стол": known, "20%": "22%"}.get(cell or "", cell) for cell in row] for row in ONEC]
        put(company, "1С CRM март.xlsx", as_workbook(rows, ONEC_MERGES))
        done = company.sync()
        assert (done.errors, company.held(), done.carried.rejected) == ([], {}, 0)
        # Of the others one is not agreed, and of one nothing is agreed yet.
        deals = {deal for deal, _ in company.ours() if deal.startswith("onec_crm:")}
        assert deals == {"onec_crm:0000-000001"}
        for kind in ("invoice", "realization"):
            assert sorted(line[1:] for line in lines_of(company, "onec_crm:0000-000001", kind)) == sorted(
                [(known, Decimal(3000)), ("Доставка", Decimal(500))]
            )
        assert all(law.holds for law in done.laws)


def test_a_client_list_alone_asks_accounting_for_nothing(alone: Opened) -> None:
    with alone("spreadsheet") as company:
        put(company, "Клиенты.xlsx", as_workbook(CLIENTS, CLIENT_MERGES))
        done = company.sync()
        assert (done.errors, company.held()) == ([], {})
        assert (done.planned.new, company.states()) == (0, {})
