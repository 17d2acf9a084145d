"""The pages as people see them: in a real browser, at the width of a phone and of a desk, in both languages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.report.foreign import Told
from pipelines.report.sections import SECTIONS
from pipelines.report.write import ask, write
from resources.connector import Authorship
from resources.language import LANGUAGES, Language
from resources.warehouse import Connection, Warehouse
from tests.marts.company import BOOKS, ROUBLE, insert

pytest_plugins = ["tests.marts.fixtures"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
DAY = date(2026, 3, 31)
EVIL = '<script>document.title = "taken"</script><img src=x onerror="document.title=1">'
SIGNS = {"RUB": "₽", "USD": "$"}
PHONE, NARROW, DESK = 360, 1100, 1200


@pytest.fixture(scope="module")
def reported(
    company_database: str, server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Warehouse, Path]:
    """The company of docs/marts.md with a client of a hostile name, and its report in both languages."""
    warehouse = Warehouse(f"{server_url.rsplit('/', 1)[0]}/{company_database}")
    with warehouse.transaction() as conn:
        conn.execute("update core.accounting_counterparty set name = %s where counterparty_key = 'B'", [EVIL])
        conn.execute("update core.deal set title = %s where deal_id = 'd2'", [EVIL])
        _enter_by_hand(conn)
    folder = tmp_path_factory.mktemp("report")
    told = Told(["raw.onec_invoice"], Authorship(by=("Автор_Key", "author.name"), at=("entered",)))
    asked = ask(warehouse, DAY, {}, told)
    for language in LANGUAGES:
        write(warehouse, folder / language, language, asked)
    return warehouse, folder


def _enter_by_hand(conn: Connection) -> None:
    """Invoice 77, of which no deal knows: 90 at first, then 80; as accounting's own record tells it."""
    columns = "document_key kind number document_date is_posted counterparty_key currency_key amount version"
    row = ("o4", "invoice", "77", "2025-12-01", True, "B", ROUBLE, 80, "2")
    insert(conn, "ledger.document", BOOKS, columns, [row])
    conn.execute(
        "insert into ops.row_version (table_name, key, scope, said_from, known_from, row) select 'ledger.document', 'o4', 'o4',"
        " '2025-12-01', '2025-12-01', to_jsonb(d) - array['said_from', 'known_from'] || '{\"amount\": 90, \"version\": \"1\"}'"
        " from ledger.document d where document_key = 'o4'"
    )
    conn.execute(
        "update ledger.document set said_from = '2026-01-12', known_from = '2026-01-12' where document_key = 'o4'"
    )
    conn.execute("create table raw.onec_invoice (source_id text, is_current boolean, payload jsonb)")
    said = '{"Автор_Key": "00000000-0000-0000-0000-000000000000", "author": {"name": "Petrova"}, "entered": "2025-12-01"}'
    conn.execute("insert into raw.onec_invoice values ('o4', true, %s)", [said])


@pytest.fixture
def own_empty(empty: Warehouse) -> Warehouse:
    """Tables and marts without data, which may have temporary tables."""
    return Warehouse(empty.url.partition("?")[0])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


def test_every_block_runs_on_an_empty_company_and_says_that_there_is_nothing(
    own_empty: Warehouse, tmp_path: Path
) -> None:
    asked = ask(own_empty, DAY, {})
    assert {name for name, said in asked.answers.items() if said.rows} == set()
    written = write(own_empty, tmp_path, "ru", asked)
    assert "Нет." in written.start.read_text(encoding="utf-8")


def test_every_block_has_a_name_of_its_own() -> None:
    names = [block.name for section in SECTIONS for block in section.blocks]
    assert len(names) == len(set(names)), "answers are kept by it"


@pytest.mark.parametrize("language", LANGUAGES)
def test_figures_on_the_page_are_those_of_the_marts(
    reported: tuple[Warehouse, Path], browser: Any, language: Language
) -> None:
    warehouse, folder = reported
    page = browser.new_page(viewport={"width": DESK, "height": 900})
    page.goto((folder / language / "index.html").as_uri())
    for currency, debt, overdue, balance in warehouse.rows(
        """select currency, sum(debt), sum(overdue), sum(balance) from marts.receivables_ageing_as_of(%s) group by 1""", [DAY]
    ):  # fmt: skip
        for name, figure in (("debt", debt), ("overdue", overdue), ("balance", balance)):
            told = page.locator(f'.tile[data-name="{name}"][data-currency="{currency}"] strong').inner_text()
            assert told.endswith(SIGNS[currency])
            assert _read(told, language) == figure, (name, currency)
    page.goto((folder / language / "receivables.html").as_uri())
    rows = page.locator("#invoices tbody tr")
    found = [
        tuple(rows.nth(i).locator(f'td[data-name="{name}"]').inner_text() for name in ("number", "debt", "days_overdue"))
        for i in range(rows.count())
    ]  # fmt: skip
    told = warehouse.rows(
        "select number, debt, days_overdue from marts.receivables_as_of(%s) order by days_overdue desc, debt desc",
        [DAY],
    )
    assert [(number, _read(debt, language), int(days)) for number, debt, days in found] == told
    assert page.locator('#invoices tfoot td[data-name="debt"]').inner_text() == (
        "1 070,00".replace(" ", "\N{NO-BREAK SPACE}") if language == "ru" else "1,070.00"
    )
    page.close()


@pytest.mark.parametrize("width", [PHONE, NARROW, DESK])
def test_no_page_asks_for_anything_runs_a_script_or_is_wider_than_the_window(
    reported: tuple[Warehouse, Path], browser: Any, width: int, tmp_path: Path
) -> None:
    _, folder = reported
    page = browser.new_page(viewport={"width": width, "height": 800})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    paths = sorted(folder.rglob("*.html"))
    assert len(paths) > 2 * len(SECTIONS), "sections and deals, in both languages"
    for path in paths:
        page.goto(path.as_uri())
        page.screenshot(path=str(tmp_path / f"{path.stem}.png"), full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(
            "[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
        ) == 0, f"{path}: a table is wider than its place"  # fmt: skip
        assert "Sverka" in page.title(), path
        assert page.locator("script, [onerror]").count() == 0, path
        for image in page.locator("figure img").all():
            image.scroll_into_view_if_needed()
            assert image.evaluate("e => e.decode().then(() => e.naturalWidth)") > 200, path
            shown = image.evaluate("e => e.currentSrc.length > 0 && e.getBoundingClientRect().width")
            assert 200 < shown <= width
    outside = [url for url in asked if not url.startswith(("file:", "data:"))]
    assert outside == []
    page.close()


def test_a_hostile_name_stands_on_the_page_as_it_is_written(
    reported: tuple[Warehouse, Path], browser: Any
) -> None:
    _, folder = reported
    page = browser.new_page()
    page.goto((folder / "en" / "receivables.html").as_uri())
    assert EVIL in page.locator('#invoices td[data-name="counterparty"]').all_inner_texts()
    page.close()


def test_a_deal_leads_to_its_evidence(reported: tuple[Warehouse, Path], browser: Any) -> None:
    _, folder = reported
    page = browser.new_page()
    page.goto((folder / "en" / "reconciliation.html").as_uri())
    page.get_by_role("link", name="script").first.click()  # d2, of which 350 are owed
    assert "d2" in page.locator("header p").inner_text()
    payments = page.locator("#payments tbody tr").all_inner_texts()
    assert [re.sub(r"\s+", " ", row) for row in payments] == [
        "2026-02-15 invoice 2 250.00 ₽ stated",
        "2026-04-05 invoice 2 350.00 ₽ stated",
    ]
    assert "partial payment" in page.locator("#variances").inner_text()
    page.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_document_that_is_not_ours_leads_to_what_accounting_says_of_it(
    reported: tuple[Warehouse, Path], browser: Any, language: Language
) -> None:
    _, folder = reported
    page = browser.new_page(viewport={"width": DESK, "height": 900})
    page.goto((folder / language / "receivables.html").as_uri())
    page.locator('#invoices td[data-name="number"]').get_by_role("link", name="77").click()
    assert "o4" in page.locator("header p").inner_text()

    def cells(part: str) -> list[str]:
        return [re.sub(r"\s+", " ", row) for row in page.locator(f"#{part} tbody tr").all_inner_texts()]

    versions = [re.sub(r"\D", "", re.findall(r"\d[\d.,]* ₽", row)[0]) for row in cells("versions")]
    assert versions == ["9000", "8000"], "90.00, then 80.00"
    assert cells("entered") == ["Petrova 2025-12-01"]
    assert (
        cells("foreign")
        == {
            "en": [
                "We did not write it: none of our operations bears its key.",
                "Its comment names no deal.",
            ],
            "ru": [
                "Мы его не записывали: ни у одной нашей операции нет такого ключа.",
                "В комментарии нет сделки.",
            ],
        }[language]
    )
    (paid,) = cells("payments")
    assert re.search(r"\b30[.,]00 ₽", paid)
    page.close()


def test_a_block_whose_rows_stand_in_the_present_says_so_of_a_past_day(
    reported: tuple[Warehouse, Path],
) -> None:
    _, folder = reported
    assert "not on that day" in (folder / "en" / "funnel.html").read_text(encoding="utf-8")


def _read(told: str, language: Language) -> Decimal:
    bare = re.sub(r"[^\d,.\N{MINUS SIGN}]", "", told).replace("\N{MINUS SIGN}", "-")
    return Decimal(bare.replace(",", ".") if language == "ru" else bare.replace(",", ""))
