"""`sverka journal`: the ledger as plain text, so that an independent program can check our books.

    sverka journal --output books.journal && hledger -f books.journal check
    sverka journal --format beancount --output books.beancount && bean-check books.beancount

A transaction is a document of accounting with all its entries. Settlement accounts have a sub-account for each
counterparty. What stands off balance (002, 004.01, МЦ.04 of 1C) stands on one side, against nothing: for hledger it is a
virtual posting, which it leaves out of the balance of a transaction; beancount knows none, so there it is a comment. At the
end stands what accounting itself reports as balances of these, as assertions: a program that
adds up the entries otherwise refuses the file. Where accounting publishes no balances, the head says so; where it
publishes no entries, there is no journal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Literal

from mappings import System
from pipelines.commands import show
from pipelines.commands.session import CONSOLE, road, writing
from resources.warehouse import Connection

Format = Literal["hledger", "beancount"]
PAGE: Final = 10_000  # entries in memory at a time
OWNED: Final = "\x1f"  # between an account and the counterparty whose it is
BEANCOUNT_ROOTS: Final = {
    "5": "Assets",
    "6": "Assets",
    "9": "Income",
}  # by the first digit of a code; others: Equity


@dataclass(frozen=True, slots=True)
class Books:
    """What the text is about: the accounting system, its currency, and up to which day of its own it was read."""

    system: str
    currency: str
    day: date
    reports_balances: bool


@dataclass(slots=True)
class Written:
    """How much of the text was made by now."""

    transactions: int = 0
    balances: int = 0


def journal(output: Path | None, form: Format) -> int:
    with road("journal") as found, found.warehouse.transaction() as conn:
        written = Written()
        try:
            lines = text_of(conn, found.accounting, form, written)
        except LookupError as error:
            CONSOLE.print(str(error), style="red")
            return 1
        if output is None:
            for line in lines:
                print(line)
            return 0
        with writing(output) as file:
            file.writelines(f"{line}\n" for line in lines)
    CONSOLE.print(
        f"{output}: {show.number(written.transactions)} transactions, {show.number(written.balances)} balances asserted"
    )
    return 0


def text_of(conn: Connection, system: System, form: Format, written: Written | None = None) -> Iterator[str]:
    """The lines of the text; `written` grows with them.

    Raises LookupError where accounting was not read yet, or publishes no entries.
    """
    books = _books(conn, system)
    write = _hledger if form == "hledger" else _beancount
    return write(conn, books, written or Written())


def _hledger(conn: Connection, books: Books, written: Written) -> Iterator[str]:
    yield _head(books)
    yield f"commodity 1000.00 {books.currency}"
    yield ""
    names = _distinct(_accounts(conn), _hledger_name, " ")
    for name in names.values():
        yield f"account {name}"
    for document, entries in _documents(conn, books):
        written.transactions += 1
        yield ""
        yield f"{document.booked_on} ({_plain(document.number)}) {_plain(document.title)}  ; {document.key}"
        for entry in entries:
            for account, amount in entry.postings:
                name = f"({names[account]})" if entry.is_off_balance else names[account]
                yield f"    {name}    {amount} {books.currency}"
    asserted = _balances(conn) if books.reports_balances else []
    if asserted:
        yield ""
        yield f"{books.day} (balances) as accounting reports them"
    for account, amount in asserted:
        written.balances += 1
        yield f"    {names[account]}    0.00 {books.currency} = {amount} {books.currency}"


def _beancount(conn: Connection, books: Books, written: Written) -> Iterator[str]:
    yield _head(books)
    yield f'option "title" "{books.system}"'
    yield f'option "operating_currency" "{books.currency}"'
    yield ""
    row = conn.execute("select min(booked_on) from ledger.entry where not is_deleted").fetchone()
    begun = row[0] if row and row[0] else books.day
    names = _distinct(_accounts(conn), _beancount_name, "-")
    for name in names.values():
        yield f"{begun} open {name} {books.currency}"
    for document, entries in _documents(conn, books):
        written.transactions += 1
        yield ""
        yield f'{document.booked_on} * "{_quoted(document.number)}" "{_quoted(document.title)}"'
        yield f'  document_key: "{_quoted(document.key)}"'
        for entry in entries:
            for account, amount in entry.postings:
                before = "; off balance: " if entry.is_off_balance else ""
                yield f"  {before}{names[account]}  {amount} {books.currency}"
    yield ""
    following = date.fromordinal(books.day.toordinal() + 1)  # an assertion holds at the beginning of its day
    for account, amount in _balances(conn) if books.reports_balances else []:
        written.balances += 1
        yield f"{following} balance {names[account]}  {amount} {books.currency}"


def _head(books: Books) -> str:
    """The first line, a comment in both forms."""
    if books.reports_balances:
        return (
            f"; {books.system}: entries of accounting, and its own balances as assertions, up to {books.day}"
        )
    return (
        f"; {books.system}: entries of accounting up to {books.day}. It publishes no balances, so none are asserted: "
        "what can be checked is that every transaction balances"
    )


@dataclass(frozen=True, slots=True)
class _Document:
    key: str
    booked_on: date
    number: str
    title: str


@dataclass(frozen=True, slots=True)
class _Entry:
    debit: str | None  # one of the two is absent off balance, or where an account has lines of its own
    credit: str | None
    amount: Decimal
    is_off_balance: bool

    @property
    def postings(self) -> list[tuple[str, Decimal]]:
        sides = ((self.debit, self.amount), (self.credit, -self.amount))
        return [(account, amount) for account, amount in sides if account is not None]


def _books(conn: Connection, system: System) -> Books:
    """The day is that of the balances, where there are any. Raises LookupError."""
    entries, balances = system.entities_of("ledger.entry"), system.entities_of("ledger.balance")
    if not entries:
        raise LookupError(
            f"{system.name} publishes no ledger entries ({system.source.name} reads no ledger.entry), so there is no"
            " journal; sverka reconcile compares its documents and payments"
        )
    row = conn.execute(
        """
        select c.value #>> '{}', (max(b.window_to) at time zone coalesce(max(z.value #>> '{}'), 'UTC'))::date
        from ops.setting c
        left join ops.setting z on z.system = c.system and z.name = 'timezone'
        join ops.batch b on b.source = c.system and b.entity = any(%s) and b.status = 'loaded'
        where c.system = %s and c.name = 'currency'
        group by c.value
        """,
        [list(balances or entries), system.name],
    ).fetchone()
    if row is None:
        raise LookupError(f"{system.name} was not read yet; run sverka sync")
    currency, day = row
    return Books(system.name, currency, day, reports_balances=bool(balances))


# Names of accounts by side: "62.01 Settlements", and for those that are kept by counterparty chr(31) (OWNED) with
# "LLC Rose 7701234567" behind it. A colon, which both forms take for a level, may stand in any name.
_NAMED: Final = """
    with codes as (
        select jsonb_array_elements_text(s.value) as code from ops.setting s where s.name = 'settlement_accounts'
    ), account as (
        select a.account_key, coalesce(a.code, a.account_key) || ' ' || coalesce(a.name, '') as name, a.code,
               a.code in (select code from codes) as is_settlement, coalesce(a.is_off_balance, false) as is_off_balance
        from core.accounting_account a
    ), party as (
        select counterparty_key,
               concat_ws(' ', coalesce(nullif(name, ''), 'without a name'), tax_number, kpp,
                         case when count(*) over (partition by name, tax_number, kpp) > 1 then counterparty_key end) as name
        from core.accounting_counterparty
    )
"""


def _accounts(conn: Connection) -> list[str]:
    return [
        row[0]
        for row in conn.execute(
            _NAMED
            + """
            select distinct a.name || case when a.is_settlement then chr(31) || coalesce(p.name, 'nobody') else '' end
            from (
                select account_dr_key as account_key, debit_counterparty_key as counterparty_key
                from ledger.entry where is_active and not is_deleted
                union select account_cr_key, credit_counterparty_key from ledger.entry where is_active and not is_deleted
                union select k.account_key, b.counterparty_key from ledger.balance b
                      join account k on k.code = b.account_code and k.is_settlement where not b.is_deleted
            ) used
            join account a on a.account_key = used.account_key
            left join party p on p.counterparty_key = used.counterparty_key
            order by 1
            """
        )
    ]


def _documents(conn: Connection, books: Books) -> Iterator[tuple[_Document, list[_Entry]]]:
    with conn.cursor(name="journal") as cursor:
        cursor.itersize = PAGE
        cursor.execute(
            _NAMED
            + """
            select e.document_key, e.booked_on, coalesce(d.number, pay.number, ''),
                   concat_ws(' ', coalesce(ops.kind_name_ru(d.kind), case pay.kind when 'refund' then 'возврат денег'
                             when 'receipt' then 'оплата' end, 'проводка'),
                             coalesce(case when dr.is_settlement then debited.name end,
                                      case when cr.is_settlement then credited.name end, debited.name, credited.name)),
                   dr.name || case when dr.is_settlement then chr(31) || coalesce(debited.name, 'nobody') else '' end,
                   cr.name || case when cr.is_settlement then chr(31) || coalesce(credited.name, 'nobody') else '' end,
                   e.amount, coalesce(dr.is_off_balance, false) or coalesce(cr.is_off_balance, false)
            from ledger.entry e
            left join account dr on dr.account_key = e.account_dr_key
            left join account cr on cr.account_key = e.account_cr_key
            left join party debited on debited.counterparty_key = e.debit_counterparty_key
            left join party credited on credited.counterparty_key = e.credit_counterparty_key
            left join ledger.document d on d.document_key = e.document_key
            left join ledger.payment pay on pay.payment_key = e.document_key
            where e.is_active and not e.is_deleted and e.booked_on <= %s
            order by e.booked_on, e.document_key, e.position, e.entry_key
            """,
            [books.day],
        )
        for (key, booked_on), rows in groupby(cursor, key=lambda row: (row[0], row[1])):
            entries: list[Any] = list(rows)
            document = _Document(str(key), booked_on, entries[0][2], entries[0][3])
            yield document, [_Entry(row[4], row[5], row[6], row[7]) for row in entries]


def _balances(conn: Connection) -> list[tuple[str, Decimal]]:
    return conn.execute(
        _NAMED
        + """
        select a.name || chr(31) || coalesce(p.name, 'nobody'), sum(b.amount)
        from ledger.balance b
        join account a on a.code = b.account_code and a.is_settlement
        left join party p on p.counterparty_key = b.counterparty_key
        where not b.is_deleted
        group by 1 order by 1
        """
    ).fetchall()


def _levels(account: str) -> list[str]:
    """An account and the counterparty it is kept for. A colon inside of a name would make the account of one buyer the
    parent of another's: "Rose" of "Rose:South", whose balance bean-check then counts in."""
    return [name.replace(":", "-") for name in account.split(OWNED, 1)]


def _hledger_name(account: str) -> str:
    return ":".join(map(_plain, _levels(account)))


def _distinct(accounts: Sequence[str], spelled: Callable[[str], str], joint: str) -> dict[str, str]:
    """Each account as the form spells it; those that would be spelled alike are numbered, in their order."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for account in accounts:
        name, number = spelled(account), 1
        while name in taken:
            number += 1
            name = f"{spelled(account)}{joint}{number}"
        taken.add(name)
        found[account] = name
    return found


def _plain(text: str) -> str:
    """Without what hledger would take for syntax: two spaces end a name, a semicolon begins a comment."""
    return re.sub(r"\s+", " ", re.sub(r"[;|()\[\]]", " ", text)).strip() or "-"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def _beancount_name(account: str) -> str:
    """Beancount wants a root, and parts of letters, digits and dashes that begin with a capital or a digit."""
    root = BEANCOUNT_ROOTS.get(account[:1], "Equity")
    parts = [re.sub(r"[^\w]+", "-", part.replace("_", "-")).strip("-") for part in _levels(account)]
    return ":".join([root, *(part[:1].upper() + part[1:] if part else "X" for part in parts)])
