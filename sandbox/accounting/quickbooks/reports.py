"""Reports: a header, columns and a tree of rows, all values text. Accrual, in home currency.

TrialBalance and BalanceSheet stand as of end_date; income and expense of earlier fiscal years (the calendar
year) are in retained earnings. Amounts of GeneralLedger are in the natural sign of their account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from sandbox.accounting.quickbooks import fault
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.ledger import Entry, Posting
from sandbox.accounting.quickbooks.values import Row, day_of, id_of, kopecks, moment, money, number

FIRST_DAY: Final = "0001-01-01"
MOST_CELLS: Final = 400_000
TITLES: Final = {"CreditMemo": "Credit Memo", "SalesReceipt": "Sales Receipt", "RefundReceipt": "Refund",
                 "JournalEntry": "Journal Entry"}  # fmt: skip
COLUMNS: Final = {
    "tx_date": "Date", "txn_type": "Transaction Type", "doc_num": "Num", "name": "Name", "memo": "Memo/Description",
    "split_acc": "Split", "subt_nat_amount": "Amount", "rbal_nat_amount": "Balance", "debt_amt": "Debit",
    "credit_amt": "Credit", "account_name": "Account", "cust_name": "Customer", "item_name": "Product/Service",
    "is_no_post": "Posting", "other_account": "Split",
}  # fmt: skip
LEDGER_COLUMNS: Final = [
    "tx_date",
    "txn_type",
    "doc_num",
    "name",
    "memo",
    "split_acc",
    "subt_nat_amount",
    "rbal_nat_amount",
]
LIST_COLUMNS: Final = [
    "tx_date",
    "txn_type",
    "doc_num",
    "is_no_post",
    "name",
    "memo",
    "account_name",
    "other_account",
    "subt_nat_amount",
]
AGES: Final = ((0, "Current"), (30, "1 - 30"), (60, "31 - 60"), (90, "61 - 90"), (1 << 30, "91 and over"))


def answer(file: CompanyFile, name: str, params: Mapping[str, str]) -> Row:
    """One report. Raises Refused."""
    work = _REPORTS.get(name)
    if work is None:
        path = f"/v3/company/{file.realm}/reports/{name}"
        raise fault.unsupported(path, path)
    today = date.fromisoformat(file.today)
    start, end = _day(params, "start_date", today.replace(day=1)), _day(params, "end_date", today)
    report = work(file, params, start, end)
    cells = len(report["Columns"]["Column"]) * _count(report["Rows"])
    if cells > MOST_CELLS:
        raise fault.business("Unable to display more data. Please reduce the date range.")
    header: Row = {
        "Time": moment(int(file.now())),
        "ReportName": name,
        "ReportBasis": params.get("accounting_method", "Accrual"),
    }
    if name not in ("AgedReceivables", "CustomerBalance", "TransactionList"):
        header |= {"SummarizeColumnsBy": params.get("summarize_column_by", "Total")}
    header |= {"StartPeriod": start, "EndPeriod": end, "Currency": file.home}
    header["Option"] = [{"Name": "NoReportData", "Value": str(not report["Rows"].get("Row")).lower()}]
    return {"Header": header, **report}


def text(hundredths: int) -> str:
    return f"{money(hundredths):.2f}" if hundredths else ""


def _day(params: Mapping[str, str], name: str, default: date) -> str:
    said = params.get(name)
    if not said:
        return default.isoformat()
    found = day_of(said)
    if found is None:
        raise fault.invalid_date(name, said)
    return found.isoformat()


def _cells(*values: str | tuple[str, str]) -> Row:
    return {"ColData": [{"value": v} if isinstance(v, str) else {"value": v[0], "id": v[1]} for v in values]}


def _column(title: str, kind: str, *marks: tuple[str, str]) -> Row:
    said: Row = {"ColTitle": title, "ColType": kind}
    if marks:
        said["MetaData"] = [{"Name": name, "Value": value} for name, value in marks]
    return said


def _count(rows: Mapping[str, Any]) -> int:
    return sum(1 + _count(row.get("Rows", {})) for row in rows.get("Row", ()))


def _accounts(file: CompanyFile) -> list[Row]:
    order = ("Asset", "Liability", "Equity", "Revenue", "Expense")
    rows = file.shelves["Account"].rows.values()
    return sorted(rows, key=lambda row: (order.index(row["Classification"]), int(row["Id"])))


def standing(file: CompanyFile, end: str) -> dict[str, int]:
    """Balance of every account as of a day, debit positive; earlier years' result is retained."""
    balances = file.ledger.movement(FIRST_DAY, end)
    before = file.ledger.movement(FIRST_DAY, f"{int(end[:4]) - 1:04d}-12-31")
    retained = file.settings["accounts"]["retained"]
    for row in file.shelves["Account"].rows.values():
        if row["Classification"] in ("Revenue", "Expense") and (amount := before.get(row["Id"], 0)):
            balances[row["Id"]] = balances.get(row["Id"], 0) - amount
            balances[retained] = balances.get(retained, 0) + amount
    return balances


def _trial_balance(file: CompanyFile, params: Mapping[str, str], start: str, end: str) -> Row:
    balances = standing(file, end)
    rows, debit, credit = [], 0, 0
    for account in _accounts(file):
        amount = balances.get(account["Id"], 0)
        if not amount:
            continue
        debit, credit = debit + max(amount, 0), credit + max(-amount, 0)
        rows.append(
            _cells(
                (account["FullyQualifiedName"], account["Id"]), text(max(amount, 0)), text(max(-amount, 0))
            )
        )
    if rows:
        rows.append(
            {"Summary": _cells("TOTAL", text(debit), text(credit)), "type": "Section", "group": "GrandTotal"}
        )
    columns = [_column("", "Account"), _column("Debit", "Money"), _column("Credit", "Money")]
    return {"Columns": {"Column": columns}, "Rows": {"Row": rows} if rows else {}}


def _columns(params: Mapping[str, str], default: Sequence[str]) -> list[str]:
    said = [name for name in params.get("columns", "").split(",") if name]
    return [name for name in (said or default) if name in COLUMNS]


def _entry_cells(
    file: CompanyFile, key: str, posting: Posting, entry: Entry, names: Sequence[str], sign: int, balance: int
) -> Row:
    accounts = file.shelves["Account"].rows
    name = entry.name
    if posting.kind == "JournalEntry" and file.options.journal_names != "line":
        first = file.options.journal_names == "first"
        name = next((one.name for one in posting.entries if one.name), "") if first else ""
    customer = file.get("Customer", name) if name else None
    person = (customer["DisplayName"], name) if customer else ("", "")
    others = {one.account for one in posting.entries} - {entry.account}
    other = next(iter(others)) if len(others) == 1 else ""
    split = (accounts[other]["FullyQualifiedName"], other) if other else ("-Split-", "")
    item = file.get("Item", entry.item) if entry.item else None
    account = accounts[entry.account]
    said: dict[str, str | tuple[str, str]] = {
        "tx_date": posting.day, "txn_type": (TITLES.get(posting.kind, posting.kind), key), "doc_num": posting.number,
        "name": person, "cust_name": person, "memo": entry.memo, "split_acc": split, "other_account": split,
        "subt_nat_amount": text(sign * entry.home), "rbal_nat_amount": f"{money(balance):.2f}",
        "debt_amt": text(max(entry.home, 0)), "credit_amt": text(max(-entry.home, 0)),
        "account_name": (account["FullyQualifiedName"], entry.account), "is_no_post": "Yes",
        "item_name": (item["FullyQualifiedName"], entry.item) if item else ("", ""),
    }  # fmt: skip
    return {**_cells(*(said[name] for name in names)), "type": "Data"}


def _general_ledger(file: CompanyFile, params: Mapping[str, str], start: str, end: str) -> Row:
    names = _columns(params, LEDGER_COLUMNS)
    wanted = set(params["account"].split(",")) if params.get("account") else None
    customer = params.get("customer")
    before = standing(file, (date.fromisoformat(start) - timedelta(days=1)).isoformat())
    lines: dict[str, list[tuple[str, Posting, Entry]]] = {}
    for key, posting in file.ledger.between(start, end):
        for entry in posting.entries:
            if (wanted is None or entry.account in wanted) and (not customer or entry.name == customer):
                lines.setdefault(entry.account, []).append((key, posting, entry))
    sections = []
    for account in _accounts(file):
        key, sign = account["Id"], 1 if account["Classification"] in ("Asset", "Expense") else -1
        temporary = account["Classification"] in ("Revenue", "Expense")
        opening = 0 if temporary else sign * before.get(key, 0)
        found = lines.get(key, [])
        if (not found and not opening) or (wanted is not None and key not in wanted):
            continue
        rows: list[Row] = []
        if not temporary and "rbal_nat_amount" in names:
            first = _cells(*("" if name != "rbal_nat_amount" else f"{money(opening):.2f}" for name in names))
            first["ColData"][0]["value"] = "Beginning Balance"
            rows.append({**first, "type": "Data"})
        balance, total = opening, 0
        for number_, posting, entry in found:
            balance, total = balance + sign * entry.home, total + sign * entry.home
            rows.append(_entry_cells(file, number_, posting, entry, names, sign, balance))
        head = _cells((account["FullyQualifiedName"], key), *("" for _ in names[1:]))
        end_cells = ["", *(text(total) if name == "subt_nat_amount" else "" for name in names[1:])]
        summary = _cells(f"Total for {account['FullyQualifiedName']}", *end_cells[1:])
        sections.append({"Header": head, "Rows": {"Row": rows}, "Summary": summary, "type": "Section"})
    columns = [_column(COLUMNS[name], name) for name in names]
    return {"Columns": {"Column": columns}, "Rows": {"Row": sections} if sections else {}}


def _transactions(file: CompanyFile, params: Mapping[str, str], start: str, end: str) -> Row:
    names = _columns(params, LIST_COLUMNS)
    rows = []
    for key, posting in file.ledger.between(start, end):
        first = posting.entries[0]
        sign = 1 if first.home >= 0 else -1
        if not params.get("customer") or first.name == params["customer"]:
            rows.append(_entry_cells(file, key, posting, first, names, sign, 0))
    columns = [
        _column(COLUMNS[name], "Money" if "amount" in name else "String", ("ColKey", name)) for name in names
    ]
    return {"Columns": {"Column": columns}, "Rows": {"Row": rows} if rows else {}}


def _section(title: str, group: str, rows: list[Row], totals: Sequence[int]) -> Row:
    said: Row = {"Header": _cells(title, *("" for _ in totals))}
    if rows:
        said["Rows"] = {"Row": rows}
    return {
        **said,
        "Summary": _cells(f"Total {title}", *map(text, totals)),
        "type": "Section",
        "group": group,
    }


def _profit(file: CompanyFile, params: Mapping[str, str], start: str, end: str) -> Row:
    periods = _periods(params.get("summarize_column_by", "Total"), start, end)
    moves = [file.ledger.movement(low, high) for low, high in periods]
    if len(periods) > 1:
        moves.append(file.ledger.movement(start, end))
    rows: list[Row] = []
    running = [0] * len(moves)
    for title, group, kinds, sign, after in (
        ("Income", "Income", ("Income",), -1, None),
        ("Cost of Goods Sold", "COGS", ("Cost of Goods Sold",), 1, ("Gross Profit", "GrossProfit")),
        ("Expenses", "Expenses", ("Expense",), 1, ("Net Operating Income", "NetOperatingIncome")),
        ("Other Income", "OtherIncome", ("Other Income",), -1, None),
        ("Other Expenses", "OtherExpenses", ("Other Expense",), 1, ("Net Income", "NetIncome")),
    ):
        inner, totals = [], [0] * len(moves)
        for account in _accounts(file):
            amounts = [sign * move.get(account["Id"], 0) for move in moves]
            if account["AccountType"] in kinds and any(amounts):
                inner.append(
                    {
                        **_cells((account["FullyQualifiedName"], account["Id"]), *map(text, amounts)),
                        "type": "Data",
                    }
                )
                totals = [total + amount for total, amount in zip(totals, amounts, strict=True)]
        if inner or group in ("Income", "Expenses"):
            rows.append(_section(title, group, inner, totals))
        running = [total - sign * amount for total, amount in zip(running, totals, strict=True)]
        if after:
            rows.append(
                {"Summary": _cells(after[0], *map(text, running)), "type": "Section", "group": after[1]}
            )
    columns = [_column("", "Account", ("ColKey", "account"))]
    if len(periods) > 1:
        for low, high in periods:
            columns.append(_column(low, "Money", ("StartDate", low), ("EndDate", high), ("ColKey", low)))
    columns.append(_column("TOTAL" if len(periods) > 1 else "Total", "Money", ("ColKey", "total")))
    return {"Columns": {"Column": columns}, "Rows": {"Row": rows}}


def _periods(how: str, start: str, end: str) -> list[tuple[str, str]]:
    if how not in ("Days", "Month"):
        return [(start, end)]
    found = []
    day, last = date.fromisoformat(start), date.fromisoformat(end)
    while day <= last:
        if how == "Days":
            high = day
        else:
            high = min((day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1), last)
        found.append((day.isoformat(), high.isoformat()))
        day = high + timedelta(days=1)
    return found


def _balance_sheet(file: CompanyFile, params: Mapping[str, str], start: str, end: str) -> Row:
    balances = standing(file, end)
    sections, totals = [], {}
    result = sum(
        balances.get(row["Id"], 0)
        for row in _accounts(file)
        if row["Classification"] in ("Revenue", "Expense")
    )
    for title, group, kind, sign in (
        ("ASSETS", "TotalAssets", "Asset", 1), ("Liabilities", "Liabilities", "Liability", -1), ("Equity", "Equity", "Equity", -1),
    ):  # fmt: skip
        rows, total = [], 0
        for account in _accounts(file):
            amount = sign * balances.get(account["Id"], 0)
            if account["Classification"] == kind and amount:
                rows.append(
                    {**_cells((account["FullyQualifiedName"], account["Id"]), text(amount)), "type": "Data"}
                )
                total += amount
        if kind == "Equity" and result:
            rows.append({**_cells("Net Income", text(-result)), "type": "Data", "group": "NetIncome"})
            total -= result
        totals[kind] = total
        sections.append(_section(title, group, rows, [total]))
    both = totals["Liability"] + totals["Equity"]
    rest = {"Header": _cells("LIABILITIES AND EQUITY", ""), "Rows": {"Row": sections[1:]},
            "Summary": _cells("TOTAL LIABILITIES AND EQUITY", text(both)),
            "type": "Section", "group": "TotalLiabilitiesAndEquity"}  # fmt: skip
    columns = [_column("", "Account", ("ColKey", "account")), _column("Total", "Money", ("ColKey", "total"))]
    return {"Columns": {"Column": columns}, "Rows": {"Row": [sections[0], rest]}}


def _open_documents(file: CompanyFile) -> list[tuple[str, Row, int]]:
    """(customer, document, open in home kopecks) of everything that is not settled."""
    found = []
    for name, sign in (("Invoice", 1), ("CreditMemo", -1)):
        for row in file.shelves[name].rows.values():
            left = number(row.get("HomeBalance", row.get("Balance", 0))) or money(0)
            if row.get("Balance"):
                item = (id_of(row["CustomerRef"]), row, sign * kopecks(left))
                found += [item]
    for row in file.shelves["Payment"].rows.values():
        if row.get("UnappliedAmt"):
            rate = number(row.get("ExchangeRate")) or 1
            found.append((id_of(row["CustomerRef"]), row, -kopecks(row["UnappliedAmt"] * rate)))
    return found


def _aged(file: CompanyFile, params: Mapping[str, str], start: str, end: str) -> Row:
    as_of = date.fromisoformat(_day(params, "report_date", date.fromisoformat(file.today)))
    ages: dict[str, list[int]] = {}
    for customer, row, amount in _open_documents(file):
        late = (as_of - date.fromisoformat(str(row.get("DueDate") or row["TxnDate"]))).days
        place = next(place for place, (most, _) in enumerate(AGES) if late <= most)
        ages.setdefault(customer, [0] * len(AGES))[place] += amount
    rows, totals = [], [0] * len(AGES)
    for customer, amounts in sorted(
        ages.items(), key=lambda pair: file.shelves["Customer"].rows[pair[0]]["DisplayName"]
    ):
        name = file.shelves["Customer"].rows[customer]["DisplayName"]
        rows.append(_cells((name, customer), *map(text, amounts), text(sum(amounts))))
        totals = [total + amount for total, amount in zip(totals, amounts, strict=True)]
    if rows:
        total = _cells("TOTAL", *map(text, totals), text(sum(totals)))
        rows.append({"Summary": total, "type": "Section", "group": "GrandTotal"})
    columns = [
        _column("", "Customer"),
        *(_column(title, "Money") for _, title in AGES),
        _column("Total", "Money"),
    ]
    return {"Columns": {"Column": columns}, "Rows": {"Row": rows} if rows else {}}


def _customers(file: CompanyFile, params: Mapping[str, str], start: str, end: str) -> Row:
    as_of = _day(params, "report_date", date.fromisoformat(file.today))
    home: dict[str, int] = {}
    for posting in file.ledger.postings.values():
        for entry in posting.entries:
            if entry.name and entry.account in file.ledger.receivables and posting.day <= as_of:
                home[entry.name] = home.get(entry.name, 0) + entry.home
    people = file.shelves["Customer"].rows
    rows = [
        _cells((people[key]["DisplayName"], key), text(amount))
        for key, amount in sorted(home.items(), key=lambda pair: people[pair[0]]["DisplayName"])
        if amount
    ]
    if rows:
        rows.append(
            {"Summary": _cells("TOTAL", text(sum(home.values()))), "type": "Section", "group": "GrandTotal"}
        )
    columns = [_column("", "Customer"), _column("Total", "Money")]
    return {"Columns": {"Column": columns}, "Rows": {"Row": rows} if rows else {}}


_REPORTS: Final[dict[str, Callable[[CompanyFile, Mapping[str, str], str, str], Row]]] = {
    "TrialBalance": _trial_balance, "GeneralLedger": _general_ledger, "TransactionList": _transactions,
    "ProfitAndLoss": _profit, "BalanceSheet": _balance_sheet, "AgedReceivables": _aged, "CustomerBalance": _customers,
}  # fmt: skip
