"""Entries and balances, out of the reports in which QuickBooks shows its books.

There is no register of entries to be read: the general ledger lists, account by account, what each transaction moved
there. Its rows are gathered by transaction and told as entries with a debit and a credit account each; where several
accounts stand on both sides amounts are shared out in the order of the report, so that debit equals credit whatever the
pairs. Each side has the customer whom its own row names. Amounts are in the company's home currency. The trial balance
gives the balances of accounts, and the report of customers' balances what each of them owes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from resources.connector import Record, Reject

COLUMNS: Final = "tx_date,txn_type,doc_num,name,memo,debt_amt,credit_amt"
DEBIT_SIDE: Final = ("Asset", "Expense")  # classifications whose natural amount is a debit
TOO_MUCH: Final = "unable to display more data"
RECEIVABLE: Final = "Accounts Receivable"
JOURNAL_ENTRY: Final = "JournalEntry"
CENT: Final = Decimal("0.01")

TYPES: Final[Mapping[str, str]] = {
    "Refund": "RefundReceipt", "Inventory Qty Adjust": "InventoryAdjustment", "Check": "Purchase",
    "Expense": "Purchase", "Cash Expense": "Purchase", "Cash Purchase": "Purchase", "Credit Card Expense": "Purchase",
    "Credit Card Credit": "Purchase", "Bill Payment (Check)": "BillPayment", "Bill Payment (Credit Card)": "BillPayment",
}  # fmt: skip
"""The report's words for kinds of transactions that are not the entity's name with spaces."""

_encode = msgspec.json.Encoder(decimal_format="number").encode
Transaction = tuple[str, str]  # kind and number, of the vendor


@dataclass(frozen=True, slots=True)
class Move:
    """What a transaction moved on one account: positive for a debit."""

    account: str
    amount: Decimal
    name_id: str
    name: str
    memo: str


@dataclass
class Moves:
    """All moves of one transaction."""

    day: str
    number: str
    moves: list[Move] = field(default_factory=list)


class TooMuchError(Exception):
    """The report says that it does not show everything."""


def transactions(report: Mapping[str, Any], classifications: Mapping[str, str]) -> dict[Transaction, Moves]:
    """The general ledger by transaction. `classifications`: by account whether it is an Asset, Liability ...

    Raises TooMuchError where the report is not whole, ValueError where it cannot be read.
    """
    columns = [_column(column) for column in _list(report.get("Columns"), "Column")]
    found: dict[Transaction, Moves] = {}
    for account, cells in _data(report, ""):
        row = dict(zip(columns, cells, strict=False))
        kind, number = _cell(row, "txn_type")
        if not number:  # the balance at the beginning
            continue
        day, _ = _cell(row, "tx_date")
        amount = _moved(row, account, classifications)
        if amount is None:
            raise ValueError(f"the row of {kind} {number} has neither debit and credit nor an amount")
        name, name_id = _cell(row, "name")
        moves = found.setdefault(
            (TYPES.get(kind, kind.replace(" ", "")), number), Moves(day, _cell(row, "doc_num")[0])
        )
        if amount:
            moves.moves.append(Move(account, amount, name_id, name, _cell(row, "memo")[0]))
    return found


def named(moved: Moves, journal_entry: Mapping[str, Any]) -> Moves:
    """The moves of a journal entry with the names of its own lines.

    No public source says whether the report's rows tell each line's name, one for all, or none, so the lines decide.
    A row is met by the line of its account, side and amount; else, where a rate was rounded, by the next of that account
    and side. A row that is met by no line of a customer keeps its name.
    """
    rate = Decimal(str(journal_entry.get("ExchangeRate") or 1))
    lines: list[Move] = []
    for line in _list(journal_entry, "Line"):
        detail = line.get("JournalEntryLineDetail") or {}
        entity = detail.get("Entity") or {}
        who = (entity.get("EntityRef") or {}) if entity.get("Type", "Customer") == "Customer" else {}
        amount = (Decimal(str(line.get("Amount") or 0)) * rate).quantize(CENT, ROUND_HALF_UP)
        account = str((detail.get("AccountRef") or {}).get("value") or "")
        signed = amount if detail.get("PostingType") == "Debit" else -amount
        lines.append(Move(account, signed, str(who.get("value") or ""), str(who.get("name") or ""), ""))
    found = list(moved.moves)
    left = set(range(len(found)))
    for exactly in (True, False):
        for place in sorted(left):
            move = found[place]
            met = next((line for line in lines if _meets(line, move, exactly=exactly)), None)
            if met is not None:
                lines.remove(met)
                left.discard(place)
                if met.name_id:
                    found[place] = replace(move, name_id=met.name_id, name=met.name)
    return Moves(moved.day, moved.number, found)


def _meets(line: Move, move: Move, *, exactly: bool) -> bool:
    if line.account != move.account or (line.amount > 0) != (move.amount > 0):
        return False
    return not exactly or line.amount == move.amount


def entries(
    system: str, transaction: Transaction, moved: Moves, receivable: Collection[str] = ()
) -> tuple[list[Record], list[Reject]]:
    """The entries of one transaction; a Reject where its debit is not its credit.

    `receivable`: the accounts on which the name of any transaction is a customer's.
    """
    kind, number = transaction
    rest = sum((move.amount for move in moved.moves), Decimal())
    if rest:
        reason = f"debit and credit differ by {rest}; look at {kind} {number} in QuickBooks"
        payload = _encode(
            {"TxnType": kind, "TxnId": number, "Moves": [[m.account, m.amount] for m in moved.moves]}
        )
        return [], [Reject(f"{system}, general ledger, {kind} {number}", reason, payload, number)]
    debits = deque((move, move.amount) for move in moved.moves if move.amount > 0)
    against = deque((move, -move.amount) for move in moved.moves if move.amount < 0)
    records: list[Record] = []
    while debits and against:
        (debit, left), (credit, right) = debits.popleft(), against.popleft()
        amount = min(left, right)
        records.append(_entry(kind, number, moved, len(records) + 1, debit, credit, amount, receivable))
        if left > amount:
            debits.appendleft((debit, left - amount))
        if right > amount:
            against.appendleft((credit, right - amount))
    return records, []


def _entry(
    kind: str,
    number: str,
    moved: Moves,
    position: int,
    debit: Move,
    credit: Move,
    amount: Decimal,
    receivable: Collection[str],
) -> Record:
    who = next((move for move in (debit, credit) if move.name_id), debit)

    def customer(move: Move) -> str:
        if kind in SALES:  # all of it is of one customer, whichever row says so
            return move.name_id or who.name_id
        return move.name_id if move.account in receivable else ""

    source_id = f"{number}:{position}"
    body = {
        "Id": source_id, "TxnType": kind, "TxnId": number, "Position": position, "TxnDate": moved.day,
        "DocNum": moved.number, "Debit": debit.account, "Credit": credit.account,
        "DebitCustomer": customer(debit), "CreditCustomer": customer(credit), "Name": who.name,
        "Memo": debit.memo or credit.memo, "Amount": amount,
    }  # fmt: skip
    return Record(source_id, _encode(body), parent_id=number)


SALES: Final = ("Invoice", "CreditMemo", "SalesReceipt", "Payment", "RefundReceipt")
"""Transactions whose name is a customer's; a journal entry's may be anybody's, but on receivable accounts."""


def balances(
    trial: Mapping[str, Any],
    customers: Mapping[str, Any],
    accounts: Iterable[Mapping[str, Any]],
    currencies: Mapping[str, str],
) -> list[Record]:
    """Balances, debit positive: of receivable accounts by customer, what no customer has under none, of others in all.

    `currencies`: by customer the code of its currency, which tells the receivable account where there are several.
    """
    known = {str(account.get("Id")): account for account in accounts}
    receivable = [i for i, a in known.items() if a.get("AccountType") == RECEIVABLE and a.get("Active", True)]
    rest = {account: amount for account, amount in _totals(trial) if account}
    records: list[Record] = []
    for customer, owed in _owed(customers):
        code = currencies.get(customer, "")
        of_currency = [
            i for i in receivable if code and (known[i].get("CurrencyRef") or {}).get("value") == code
        ]
        home = next(iter(of_currency or receivable), "")
        if not home:
            continue
        rest[home] = rest.get(home, Decimal()) - owed
        records.append(_balance(known.get(home, {}), home, customer, owed))
    records += [_balance(known.get(i, {}), i, "", amount) for i, amount in rest.items() if amount]
    return records


def _balance(account: Mapping[str, Any], number: str, customer: str, amount: Decimal) -> Record:
    body = {
        "Id": f"{number}:{customer}", "Account": number, "AccountName": account.get("Name", ""),
        "AccountCode": account.get("AcctNum") or account.get("Name", ""), "Customer": customer, "Amount": amount,
    }  # fmt: skip
    return Record(f"{number}:{customer}", _encode(body))


def _totals(report: Mapping[str, Any]) -> Iterator[tuple[str, Decimal]]:
    """Accounts of the trial balance and their balances."""
    titles = [str(column.get("ColTitle", "")).lower() for column in _list(report.get("Columns"), "Column")]
    for _, cells in _data(report, ""):
        if not cells:
            continue
        amounts = dict(zip(titles, cells, strict=False))
        debit, credit = (_number(str((amounts.get(n) or {}).get("value") or "")) for n in ("debit", "credit"))
        yield str(cells[0].get("id") or ""), (debit or Decimal()) - (credit or Decimal())


def _owed(report: Mapping[str, Any]) -> Iterator[tuple[str, Decimal]]:
    """Customers and what they owe in all, in the home currency; a parent's row is its own, without its jobs'."""
    for _, cells in _data(report, ""):
        number = str(cells[0].get("id") or "") if cells else ""
        amount = _number(str(cells[-1].get("value") or "")) if len(cells) > 1 else None
        if number and amount:
            yield number, amount


def _data(node: Mapping[str, Any], account: str) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Rows of data under the account of their section. A section's own header names the account."""
    for row in _list(node.get("Rows"), "Row"):
        header = _list(row.get("Header"), "ColData")
        inner = str(header[0].get("id") or "") if header else ""
        cells = _list(row, "ColData")
        if cells:
            if TOO_MUCH in str(cells[0].get("value", "")).lower():
                raise TooMuchError
            yield account, cells
        if row.get("Rows"):
            yield from _data(row, inner or account)


def _list(node: Any, name: str) -> list[Any]:
    held = node.get(name) if isinstance(node, Mapping) else None
    return held if isinstance(held, list) else []


def _column(column: Mapping[str, Any]) -> str:
    for meta in _list(column, "MetaData"):
        if meta.get("Name") == "ColKey" and meta.get("Value"):
            return str(meta["Value"])
    return str(column.get("ColType") or column.get("ColTitle") or "")


def _cell(row: Mapping[str, Mapping[str, Any]], name: str) -> tuple[str, str]:
    cell = row.get(name) or {}
    return str(cell.get("value") or ""), str(cell.get("id") or "")


def _moved(row: Mapping[str, Mapping[str, Any]], account: str, classes: Mapping[str, str]) -> Decimal | None:
    sides = [name for name in row if name.startswith(("debt_", "credit_"))]
    if sides:
        total = Decimal()
        for name in sides:
            side = _number(_cell(row, name)[0]) or Decimal()
            total += side if name.startswith("debt_") else -side
        return total
    natural = next((name for name in row if name.endswith("nat_amount") and not name.startswith("rbal")), "")
    if not natural:
        return None
    amount = _number(_cell(row, natural)[0]) or Decimal()
    if amount and account not in classes:
        raise ValueError(f"account {account} of the general ledger is not among the accounts")
    return amount if classes.get(account) in DEBIT_SIDE else -amount


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace(",", "")) if text else None
    except InvalidOperation:
        return None
