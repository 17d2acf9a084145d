"""The branch office in Murmansk keeps its deals in spreadsheets: some as CSV, some as XLSX.

CSV is cp1251 with `;`, decimal commas, dd.mm.yyyy; one row is one line of a deal. The usual dirt is there:
INN as a number without its leading zero, blank rows, a totals row, "1 234,50" with a hard space.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from sandbox.company.growth import DealDraw
from sandbox.company.model import GOODS, STAGES, Company, Deal, Party, line_amounts
from sandbox.company.truth import deal_truth, outcome_of
from sandbox.store import Store

DEALS_AT_FIRST, DEALS_A_ROUND = 40, 5
CSV_SHARE = 0.6
DEAL_COLUMNS = (
    "№ сделки", "Клиент", "ИНН", "КПП", "Товар", "Кол-во", "Цена", "Сумма", "Ставка НДС", "Стадия",
    "Дата закрытия", "Менеджер", "Валюта", "Дата",
)  # fmt: skip
SPEND_COLUMNS = ("Дата", "Источник", "Кампания", "Сумма", "Валюта")
SPENT_ON = (("Реклама", "Контекст"), ("Веб-сайт", "-"), ("Радио", "-"))
"""Sources as the head office's CRM names them, and the campaign; nobody ever came by the radio."""
CLIENT_COLUMNS = ("Клиент", "ИНН", "КПП", "ОГРН", "Телефон", "E-mail", "Город", "Адрес")
STAGE_NAMES = {
    "NEW": "Новая",
    "PREPARATION": "Новая",
    "PREPAYMENT_INVOICE": "Счёт выставлен",
    "EXECUTING": "Счёт выставлен",
    "FINAL_INVOICE": "Отгружено",
    "WON": "Закрыта",
    "LOSE": "Отказ",
}
HELD = ("inn_checksum", "inn_missing", "amount_mismatch")
DROPS = "sandbox.files"
HARD_SPACE = "\u00a0"


@dataclass(frozen=True)
class BranchDeal:
    number: str  # Ф-0001
    deal: Deal
    party: Party
    mistake: str  # one of HELD or ''
    in_csv: bool


def drop(company: Company, folder: Path, store: Store) -> dict[str, Any]:
    """Write the spreadsheets. Every further drop has the earlier deals and a few more.

    Raises OSError when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drops = store.collection(DROPS)
    last = drops.get("last")
    turn = int(last["round"]) + 1 if last else 1
    today = last["today"] if last else company.today.isoformat()
    soiled = last["soiled"] if last else _soiled(company)
    deals = _deals(company, turn, date.fromisoformat(today), soiled)
    from_csv, from_xlsx = [d for d in deals if d.in_csv], [d for d in deals if not d.in_csv]
    _write_csv(folder / "Клиенты.csv", CLIENT_COLUMNS, _client_rows(from_csv))
    _write_csv(folder / "Сделки.csv", DEAL_COLUMNS, _deal_rows(company, from_csv))
    _write_xlsx(folder / "Клиенты.xlsx", "Клиенты", CLIENT_COLUMNS, _client_rows(from_xlsx))
    _write_xlsx(folder / "Сделки.xlsx", "Сделки", DEAL_COLUMNS, _deal_rows(company, from_xlsx))
    _write_csv(folder / "Реклама.csv", SPEND_COLUMNS, _spend_rows(company))
    drops.put("last", {"round": turn, "today": today, "folder": str(folder), "soiled": soiled})
    names = [f"{what}.{kind}" for what in ("Клиенты", "Сделки") for kind in ("csv", "xlsx")] + ["Реклама.csv"]
    return {"folder": str(folder), "files": names, "deals": len(deals), "round": turn}


def truth(company: Company, store: Store) -> dict[str, Any]:
    """What accounting must hold of the branch's deals, by their number; empty before the first drop."""
    last = store.collection(DROPS).get("last")
    if last is None:
        return {}
    found = {}
    for branch in _deals(company, int(last["round"]), date.fromisoformat(last["today"]), last["soiled"]):
        mistakes = {branch.mistake: ""} if branch.mistake else {}
        outcome, reason = outcome_of(branch.deal, mistakes, mistakes)
        found[branch.number] = {
            **deal_truth(company, branch.deal),
            "outcome": outcome,
            "reason": reason,
            "stage_name": STAGE_NAMES[branch.deal.stage],
            "file": "Сделки.csv" if branch.in_csv else "Сделки.xlsx",
            "dirt": [branch.mistake] if branch.mistake else [],
        }
    return {"deals": found, "folder": last["folder"]}


def _soiled(company: Company) -> list[str]:
    """Parties whose INN the head office has wrongly: the branch's deals are with others, then and later."""
    return sorted({d.id for d in company.dirt if d.entity == "party" and d.kind.startswith("inn_")})


def _deals(company: Company, turn: int, today: date, soiled: Collection[str]) -> list[BranchDeal]:
    """The branch's deals: same clients as the head office, prices with VAT, discounts already taken."""
    count = DEALS_AT_FIRST + DEALS_A_ROUND * (turn - 1)
    rng = random.Random(f"{company.seed}:branch")
    draw = DealDraw(company, today)
    found: list[BranchDeal] = []
    mistakes = dict(zip((5, 12, 19), HELD, strict=True))
    number = 0
    while len(found) < count:
        number += 1
        deal = draw.past(rng, number)
        if deal.pipeline != GOODS or deal.currency != "RUB" or deal.party_id in soiled:
            continue
        place = len(found) + 1
        mistake = mistakes.get(place, "")
        if mistake:
            deal = replace(deal, stage=STAGES[GOODS][-2], closed_on=today)
        deal = replace(deal, id=f"f{place}", lines=tuple(map(_with_tax, deal.lines)))
        party = company.parties[deal.party_id]
        found.append(BranchDeal(f"Ф-{place:04d}", deal, party, mistake, place <= count * CSV_SHARE))
    return found


def _with_tax(line: Any) -> Any:
    gross = line_amounts(line).gross
    price = (gross / line.quantity).quantize(Decimal("0.01"))
    return replace(line, price=price, discount_percent=Decimal(0), vat_included=True)


def _deal_rows(company: Company, deals: Iterable[BranchDeal]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    total = Decimal(0)
    for place, branch in enumerate(deals, start=1):
        manager = company.employees[branch.deal.employee_id]
        for line in branch.deal.lines:
            gross = line_amounts(line).gross
            shown = gross + 100 if branch.mistake == "amount_mismatch" else gross
            total += shown
            rows.append(
                [
                    branch.number, branch.party.name, _inn(branch), branch.party.kpp,
                    company.products[line.product_id].name, line.quantity, line.price, shown,
                    f"{line.vat_rate}%" if line.vat_rate else "Без НДС", STAGE_NAMES[branch.deal.stage],
                    branch.deal.closed_on or "", f"{manager.last_name} {manager.first_name[0]}.", "RUB", branch.deal.created_at.date(),
                ]
            )  # fmt: skip
        if place % 9 == 0:
            rows.append([])
    rows.append(["Итого", "", "", "", "", "", "", total, "", "", "", "", "", ""])
    return rows


def _spend_rows(company: Company) -> list[list[Any]]:
    """What marketing cost, a row a month, source and campaign; every month in which the company had deals."""
    rng = random.Random(f"{company.seed}:marketing")
    months = sorted({deal.created_at.date().replace(day=1) for deal in company.deals.values()})
    rows: list[list[Any]] = [
        [month, source, campaign, Decimal(rng.randrange(20, 200) * 1000), "RUB"]
        for month in months
        for source, campaign in SPENT_ON
    ]
    return [*rows, ["Итого", "", "", sum((row[3] for row in rows), Decimal(0)), ""]]


def _client_rows(deals: Iterable[BranchDeal]) -> list[list[Any]]:
    rows: dict[str, list[Any]] = {}
    for branch in deals:
        party = branch.party
        if branch.mistake.startswith("inn_"):
            continue  # the branch never listed this client
        rows[party.id] = [
            party.name, _number_like(party.inn), party.kpp, party.ogrn, party.phone.replace("+7", "8"),
            party.email, party.city, party.address,
        ]  # fmt: skip
    listed = list(rows.values())
    return [*listed[: len(listed) // 2], [], *listed[len(listed) // 2 :]]


def _inn(branch: BranchDeal) -> Any:
    inn = branch.party.inn
    if branch.mistake == "inn_missing":
        return ""
    if branch.mistake == "inn_checksum":
        return int(inn[:-1] + str((int(inn[-1]) + 1) % 10))
    return _number_like(inn)


def _number_like(inn: str) -> Any:
    """What a spreadsheet makes of an INN: a number, so the leading zero is gone."""
    return int(inn) if inn.isdigit() else inn


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="cp1251", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_spelled(value) for value in row] or [""] * len(columns))


def _spelled(value: Any) -> str:
    if isinstance(value, date):
        return value.strftime("%d.%m.%Y")
    if isinstance(value, Decimal):
        text = f"{value:,.2f}" if value != value.to_integral() or value >= 1000 else f"{value:f}"
        return text.replace(",", HARD_SPACE).replace(".", ",")
    return str(value)


def _write_xlsx(path: Path, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    from openpyxl import Workbook  # at the first book: to load it is half of a sandbox's start

    book = Workbook()
    sheet = book.active
    if sheet is None:
        raise OSError(f"no sheet to write in {path}")
    sheet.title = title
    sheet.append(list(columns))
    for place, row in enumerate(rows):
        shown = [float(value) if isinstance(value, Decimal) else value for value in row]
        if place % 4 == 3:  # somebody typed this row by hand: its date is text
            shown = [value.strftime("%d.%m.%Y") if isinstance(value, date) else value for value in shown]
        sheet.append([None if value == "" else value for value in shown] or [None])
    book.save(path)
