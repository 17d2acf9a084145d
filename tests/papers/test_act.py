"""The act of reconciliation: its figures are the ledger's, in XLSX and in PDF. Worked out by hand in docs/ledger.md."""

from __future__ import annotations

import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from pipelines.papers import act_page, act_sheet, words
from pipelines.papers.act import Act, CannotAct, Line, Wanted, acts, contract_of
from pipelines.papers.party import Ambiguous, Party, find_counterparty, find_organization
from resources.language import Language
from resources.warehouse import Warehouse
from tests.papers.firm import ACME, MAIN, OTHER, OURS, ROMASHKA, SECOND, SILENT, enter

FIRST, LAST = date(2026, 1, 1), date(2026, 3, 31)
ROMASHKA_PARTY = Party(ROMASHKA, "ООО «Ромашка»", "7701000017", "770101001")


def acts_of(warehouse: Warehouse, **wanted: Any) -> list[Act]:
    asked = {"counterparty": ROMASHKA_PARTY, "first": FIRST, "last": LAST, **wanted}
    with warehouse.transaction() as conn:
        return acts(conn, Wanted(**asked))


def ours(warehouse: Warehouse, **wanted: Any) -> Act:
    """The act of the first of our organizations."""
    (found,) = [
        act for act in acts_of(warehouse, **wanted) if act.organization and act.organization.key == OURS
    ]
    return found


def sums(act: Act) -> tuple[Decimal, ...]:
    return act.opening, act.debit, act.credit, act.closing


def test_the_act_of_the_worked_example(firm: Warehouse) -> None:
    act = ours(firm)
    assert [(line.day, line.kind, line.number, line.debit, line.credit) for line in act.lines] == [
        (date(2026, 1, 15), "realization", "0000-000001", 1200, 0),
        (date(2026, 2, 1), "receipt", "12", 0, 700),
        (date(2026, 2, 10), "realization", "0000-000002", 600, 0),
        (date(2026, 3, 5), "receipt", "13", 0, 250),
        (date(2026, 3, 12), "refund", "1", 15, 0),
    ]
    assert sums(act) == (-500, 1815, 950, 365)
    assert act.notes == ()
    assert words.conclusion(act, "ru") == (
        "на 31.03.2026 задолженность в пользу ООО «Наша фирма» составляет 365,00 руб."
        " (Триста шестьдесят пять рублей 00 копеек)"
    )


def test_each_of_our_organizations_has_an_act_of_its_own(firm: Warehouse) -> None:
    found = acts_of(firm)
    assert {(act.organization.key, act.closing) for act in found if act.organization} == {
        (OURS, 365),
        (SECOND, 100),
    }
    (second,) = acts_of(firm, organization=Party(SECOND, "ООО «Вторая»"))
    assert sums(second) == (0, 100, 0, 100)


def test_an_act_goes_on_where_the_one_before_it_ended(firm: Warehouse) -> None:
    after = ours(firm, first=date(2026, 4, 1), last=date(2026, 4, 30))
    assert sums(after) == (365, 0, 1000, -635)
    assert "overpaid" in after.notes
    assert words.conclusion(after, "ru").startswith(
        "на 30.04.2026 задолженность в пользу ООО «Ромашка» составляет 635,00"
    )


def test_an_act_in_dollars_speaks_of_dollars(firm: Warehouse) -> None:
    (act,) = acts_of(firm, counterparty=Party(ACME, "Acme Inc"))
    assert (act.currency, *sums(act)) == ("USD", 0, 500, 520, -20)
    assert words.conclusion(act, "en").endswith("is 20.00 USD (Twenty dollars 00 cents)")


def test_the_acts_are_the_turnover_and_the_turnover_is_the_balance(firm: Warehouse) -> None:
    turnover = firm.rows(
        "select organization_key, counterparty_key, currency, sum(opening), sum(debit), sum(credit), sum(set_off), sum(closing)"
        " from marts.settlement_turnover(%s, %s) group by 1, 2, 3",
        [FIRST, LAST],
    )
    assert {row[6] for row in turnover} == {0}
    told = {
        (act.organization.key, act.counterparty.key, act.currency, *sums(act))
        for party in (ROMASHKA_PARTY, Party(ACME, "Acme Inc"))
        for act in acts_of(firm, counterparty=party)
        if act.organization
    }
    assert told == {(*row[:6], row[7]) for row in turnover}
    documents = firm.rows(
        "select document_key, opening, debit, credit, set_off, closing from marts.settlement_turnover(%s, %s)"
        " where counterparty_key = %s and organization_key = %s order by 1",
        [FIRST, LAST, ROMASHKA, OURS],
    )
    assert documents == [
        ("P0", -500, 0, 0, 500, 0),
        ("R1", 0, 1200, 700, -500, 0),
        ("R2", 0, 615, 250, 0, 365),
    ]


# ---- what a person may ask for -------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "key"),
    [
        (ROMASHKA, ROMASHKA),
        ("7701000017/770101001", ROMASHKA),
        ("ООО  «Ромашка»", ROMASHKA),
        ("ромашка ооо", ROMASHKA),
        ("770100001788", SILENT),
        ("acm", ACME),
    ],
)
def test_a_counterparty_is_found_by_number_name_or_key(firm: Warehouse, said: str, key: str) -> None:
    with firm.transaction() as conn:
        found = find_counterparty(conn, said)
    assert isinstance(found, Party)
    assert found.key == key


@pytest.mark.parametrize("language", ["en", "ru"])
def test_several_that_fit_are_listed_and_nobody_is_said_to_be_nobody(
    firm: Warehouse, language: Language
) -> None:
    with firm.transaction() as conn:
        several = find_counterparty(conn, "7701000017", language)
        part = find_counterparty(conn, "машка", language)
        nobody = find_counterparty(conn, "100%", language)
        organization = find_organization(conn, "вторая", language)
    assert isinstance(several, Ambiguous)
    assert isinstance(part, Ambiguous)
    assert {party.key for party in several.candidates} == {party.key for party in part.candidates}
    assert "onec:romashka-branch" in several.sentence
    assert "780101001" in several.sentence
    assert isinstance(nobody, Ambiguous)
    assert nobody.candidates == ()
    assert isinstance(organization, Party)


def test_one_contract_alone_counts_what_came_from_another(own_firm: Warehouse) -> None:
    with own_firm.transaction() as conn:
        enter(conn, ("M1", "2026-03-30", "62.02", "P9", "62.01", "R2", 40))
        conn.execute("update ledger.entry set debit_contract_key = %s where document_key = 'M1'", [OTHER])
        assert contract_of(conn, ROMASHKA, "Договор 2") == (OTHER, "Договор 2")
        with pytest.raises(CannotAct, match="Основной договор"):
            contract_of(conn, ROMASHKA, "Третий")
    assert sums(ours(own_firm)) == (-500, 1815, 950, 365)
    assert sums(ours(own_firm, contract_key=MAIN)) == (-500, 1815, 990, 325)
    assert sums(ours(own_firm, contract_key=OTHER)) == (0, 40, 0, 40)


def test_a_period_without_documents_says_so(firm: Warehouse) -> None:
    act = ours(firm, first=date(2026, 5, 1), last=date(2026, 5, 3))
    assert sums(act) == (-635, 0, 0, -635)
    assert "no_turnover" in act.notes


def test_a_counterparty_without_any_movement_owes_nothing(firm: Warehouse) -> None:
    (act,) = acts_of(firm, counterparty=Party(SILENT, "ИП Тихий"))
    assert (act.currency, *sums(act)) == ("RUB", 0, 0, 0, 0)
    assert act.notes == ("no_movement",)
    assert words.conclusion(act, "ru") == "на 31.03.2026 задолженность отсутствует"


def test_what_is_dated_later_than_accounting_was_read_is_in_and_told(own_firm: Warehouse) -> None:
    with own_firm.transaction() as conn:
        enter(conn, ("X1", "2027-01-10", "62.01", "X1", "90.01.1", None, 7))
    act = ours(own_firm, last=date(2027, 1, 31))
    assert act.closing == -635 + 7
    assert (act.notes, act.future) == (("future", "unread", "overpaid"), 1)
    assert "04.05.2026" in " ".join(words.notes(act, "ru"))
    assert ours(own_firm, last=date(2026, 12, 31)).closing == -635


def test_what_has_no_date_is_in_the_opening_and_told(own_firm: Warehouse) -> None:
    with own_firm.transaction() as conn:
        enter(conn, ("X2", None, "62.01", "X2", "90.01.1", None, 3))
    act = ours(own_firm)
    assert act.opening == -497
    assert "undated" in act.notes


def test_without_entries_the_act_is_made_of_documents_and_needs_no_rate(own_firm: Warehouse) -> None:
    with own_firm.transaction() as conn:
        conn.execute("delete from ledger.entry")
        conn.execute("update ledger.document set rate = null where document_key = 'R3'")
    act = ours(own_firm)
    assert sums(act) == (-500, 1815, 950, 365)
    assert act.basis == "documents"
    (dollars,) = acts_of(own_firm, counterparty=Party(ACME, "Acme Inc"))
    assert sums(dollars) == (0, 500, 520, -20)
    assert "no_rate" in dollars.notes
    own = own_firm.rows(
        "select debit, own_debit from marts.settlement_turnover(%s, %s) where document_key = 'R3'",
        [FIRST, LAST],
    )
    assert own == [(500, None)]


def test_what_cannot_be_told_is_refused_with_a_sentence(firm: Warehouse) -> None:
    with pytest.raises(CannotAct, match="before it begins"):
        acts_of(firm, first=LAST, last=FIRST)
    with pytest.raises(CannotAct, match="no currency GBP; there are RUB, USD"):
        acts_of(firm, currency="GBP")


def test_accounts_that_are_not_in_the_chart_are_named_not_told_as_nothing(own_firm: Warehouse) -> None:
    own_firm.execute("update ops.setting set value = '[\"76.01\"]' where name = 'settlement_accounts'")
    with pytest.raises(CannotAct, match=r"none of 76\.01.*settlement_accounts"):
        acts_of(own_firm)


# ---- on paper ------------------------------------------------------------------------------


def numbers_of_sheet(path: Path, tab: str) -> list[tuple[Any, ...]]:
    """The rows of our side that bear money: date, document, debit, credit."""
    sheet = load_workbook(path)[tab]
    return [
        tuple(cell.value for cell in row[:4])
        for row in sheet.iter_rows(min_row=1)
        if isinstance(row[2].value, (int, float)) or isinstance(row[3].value, (int, float))
    ]


def test_figures_read_back_from_the_sheet_are_the_ledgers(firm: Warehouse, tmp_path: Path) -> None:
    found = acts_of(firm)
    act_sheet.write(found, "ru", tmp_path / "act.xlsx")
    book = load_workbook(tmp_path / "act.xlsx")
    assert len(book.sheetnames) == 2
    tab = next(name for name in book.sheetnames if "Наша" in name)
    rows = numbers_of_sheet(tmp_path / "act.xlsx", tab)
    act = ours(firm)
    opening, *lines, turnover, closing = rows
    assert opening[1:] == ("Сальдо начальное", 0, 500)
    assert lines == [
        (at(2026, 1, 15), "Реализация № 0000-000001", 1200, None),
        (at(2026, 2, 1), "Оплата № 12", None, 700),
        (at(2026, 2, 10), "Реализация № 0000-000002", 600, None),
        (at(2026, 3, 5), "Оплата № 13", None, 250),
        (at(2026, 3, 12), "Возврат оплаты № 1", 15, None),
    ]
    assert turnover[2:] == (act.debit, act.credit)
    assert closing[2:] == (365, 0)
    assert -500 + turnover[2] - turnover[3] == closing[2]
    sheet = book[tab]
    texts = {str(cell.value) for row in sheet.iter_rows() for cell in row if cell.value is not None}
    assert words.conclusion(act, "ru") in texts
    assert any("ИНН 7701000017, КПП 770101001" in text for text in texts)
    assert sheet.print_title_rows is not None
    assert sheet.page_setup.fitToWidth == 1


@pytest.mark.parametrize("language", ["ru", "en"])
def test_figures_read_back_from_the_pdf_are_the_ledgers(
    firm: Warehouse, tmp_path: Path, language: Language
) -> None:
    act = ours(firm)
    act_page.write([act], language, tmp_path / "act.pdf")
    text = text_of((tmp_path / "act.pdf").read_bytes())
    told = money_in(text, language)
    zero = Decimal(0)
    expected = [
        zero,
        Decimal(500),
        *(line.debit or line.credit for line in act.lines),
        act.debit,
        act.credit,
        act.closing,
        zero,
    ]
    assert told[: len(expected)] == expected
    assert flat(words.conclusion(act, language)) in flat(text)
    assert all(flat(words.document(line, language)) in flat(text) for line in act.lines)


def test_a_long_act_repeats_its_head_and_loses_no_line(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    lines = [
        Line(
            f"R{n}",
            date(2026, 1, 1 + n % 28),
            "realization",
            f"0000-{n:06d}",
            "",
            Decimal(n) / 100,
            Decimal("0.00"),
        )
        for n in range(1, 301)
    ]
    act = Act(
        Party(OURS, "ООО «Наша фирма»"),
        ROMASHKA_PARTY,
        "",
        "RUB",
        FIRST,
        LAST,
        "entries",
        Decimal("0.00"),
        lines,
    )
    act_page.write([act], "ru", tmp_path / "act.pdf")
    pages = [page.extract_text() for page in pypdf.PdfReader(tmp_path / "act.pdf").pages]
    assert len(pages) > 3
    for number, text in enumerate(pages, start=1):
        assert f"Страница {number} из {len(pages)}" in text
    tables = [text for text in pages if "0000-" in text]
    assert all("Дебет" in text and "Кредит" in text for text in tables)
    assert "Сальдо конечное" in tables[-1]  # with lines of the table above it
    found = re.findall(r"0000-(\d{6})", "".join(pages))
    assert found == [f"{n:06d}" for n in range(1, 301)]
    assert act.closing == Decimal("451.50")
    assert words.money(act.closing, "ru") in "".join(pages)


def test_a_sum_of_a_hundred_billion_stands_in_one_line(tmp_path: Path) -> None:
    large = Decimal("123456789012.34")
    line = Line("R1", FIRST, "realization", "1", "", large, Decimal(0))
    act = Act(
        Party(OURS, "ООО «Наша фирма»"), ROMASHKA_PARTY, "", "RUB", FIRST, LAST, "entries", -large, [line]
    )
    act_page.write([act], "ru", tmp_path / "act.pdf")
    told = words.money(large, "ru")
    shown = text_of((tmp_path / "act.pdf").read_bytes()).replace(" ", "\N{NO-BREAK SPACE}").splitlines()
    assert shown.count(told) == 3, "opening, the sale, turnover"
    act_sheet.write([act], "ru", tmp_path / "act.xlsx")
    sheet = load_workbook(tmp_path / "act.xlsx").worksheets[0]
    sums = [cell for row in sheet.iter_rows() for cell in row if cell.value == 123456789012.34]
    assert len(sums) == 3
    assert all(cell.alignment.shrink_to_fit and not cell.alignment.wrap_text for cell in sums)


def test_names_with_marks_of_markup_and_formulas_stay_names(tmp_path: Path) -> None:
    name = '=ООО <b>Рога & "Копыта"</b>'
    line = Line("R", FIRST, "", "", "@SUM(1) <i>", Decimal(1), Decimal(0))
    act = Act(None, Party("onec:x", name), "", "RUB", FIRST, LAST, "entries", Decimal(0), [line])
    act_page.write([act], "ru", tmp_path / "act.pdf")
    assert flat(name) in flat(text_of((tmp_path / "act.pdf").read_bytes()))
    act_sheet.write([act, act], "ru", tmp_path / "act.xlsx")
    book = load_workbook(tmp_path / "act.xlsx")
    assert len(book.sheetnames) == 2
    assert {cell.data_type for row in book.worksheets[0].iter_rows() for cell in row} <= {"s", "n", "d"}


@pytest.mark.parametrize(
    ("amount", "currency", "language", "told"),
    [
        ("1200.50", "RUB", "ru", "Одна тысяча двести рублей 50 копеек"),
        ("0.01", "RUB", "ru", "Ноль рублей 01 копейка"),
        ("21.02", "RUB", "ru", "Двадцать один рубль 02 копейки"),
        ("1000000", "RUB", "ru", "Один миллион рублей 00 копеек"),
        ("22.11", "USD", "ru", "Двадцать два доллара 11 центов"),
        ("1.01", "USD", "en", "One dollar 01 cent"),
        ("5.10", "XTS", "ru", "Пять XTS 10/100"),
    ],
)
def test_a_sum_in_words(amount: str, currency: str, language: Language, told: str) -> None:
    assert words.in_words(Decimal(amount), currency, language) == told


def text_of(pdf: bytes) -> str:
    pypdf = pytest.importorskip("pypdf")
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)


def money_in(text: str, language: Language) -> list[Decimal]:
    """Every sum of the text, in the order of reading."""
    pattern = (
        r"(?<![\d.])\d{1,3}(?:[\s\N{NO-BREAK SPACE}]\d{3})*,\d\d(?!\d)"
        if language == "ru"
        else r"(?<![\d.])\d{1,3}(?:,\d{3})*\.\d\d(?!\d)"
    )
    found = re.findall(pattern, text)
    return [
        Decimal(
            re.sub(r"[\s\N{NO-BREAK SPACE}]", "", one).replace(",", ".")
            if language == "ru"
            else one.replace(",", "")
        )
        for one in found
    ]


def flat(text: str) -> str:
    """Without spaces and breaks, which a page sets as it likes."""
    return re.sub(r"\s", "", text)


def at(year: int, month: int, day: int) -> datetime:
    """A day as a sheet has it: a midnight without a zone."""
    return datetime(year, month, day, tzinfo=UTC).replace(tzinfo=None)
