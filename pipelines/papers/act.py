"""The act of reconciliation (акт сверки взаимных расчётов): its figures, out of `marts.settlement_movement`.

One act is between one of our organizations and one counterparty, in one currency, of a period whose first and last day
count whole. A line is a document with what it moved; what is only set off between accounts of the buyer moves nothing.
opening + debit - credit = closing; a positive closing is owed to us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any, Final, Literal

from pipelines.papers.party import Party
from resources.warehouse import Connection

Basis = Literal["entries", "documents"]
Note = Literal["no_movement", "no_turnover", "future", "undated", "unread", "no_rate", "overpaid"]
ZERO: Final = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class Line:
    """A document of the period; `kind` is empty for what is no document of sale and no payment."""

    document_key: str
    day: date | None
    kind: str
    number: str
    content: str
    debit: Decimal
    credit: Decimal


@dataclass(frozen=True, slots=True)
class Act:
    """Sums in major units of `currency`; `read_on` is the day up to which accounting was read, in its own time zone."""

    organization: Party | None  # None: accounting does not say which of us
    counterparty: Party
    contract: str  # empty: all contracts
    currency: str  # ISO 4217 letters
    first: date
    last: date
    basis: Basis
    opening: Decimal
    lines: Sequence[Line]
    notes: Sequence[Note] = ()
    future: int = 0  # lines dated after `read_on`
    read_on: date | None = None

    @property
    def debit(self) -> Decimal:
        return sum((line.debit for line in self.lines), ZERO)

    @property
    def credit(self) -> Decimal:
        return sum((line.credit for line in self.lines), ZERO)

    @property
    def closing(self) -> Decimal:
        return self.opening + self.debit - self.credit


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an act is asked for. Without organization or currency there is one act for each that has movements."""

    counterparty: Party
    first: date
    last: date
    organization: Party | None = None
    contract_key: str = ""
    currency: str = ""
    contract: str = field(default="", compare=False)


class CannotAct(ValueError):
    """What was asked for cannot be told; the message says why and what to do."""


def acts(conn: Connection, wanted: Wanted) -> list[Act]:
    """The acts of a counterparty, the largest organization name first; one with nothing in it where nothing moved.

    Raises CannotAct.
    """
    if wanted.first > wanted.last:
        raise CannotAct(
            f"the period ends on {wanted.last}, before it begins on {wanted.first}; turn the days round"
        )
    known = _currencies(conn)
    if wanted.currency and wanted.currency not in known:
        raise CannotAct(
            f"accounting knows no currency {wanted.currency}; there are {', '.join(sorted(known)) or 'none'}"
        )
    _see_that_accounts_are_there(conn)
    read_on = _read_on(conn)
    found = [
        _act(conn, wanted, list(rows), place, read_on)
        for place, rows in groupby(
            _movements(conn, wanted), key=lambda row: (row["organization_key"], row["currency"])
        )
    ]
    return found or [_empty(conn, wanted, read_on)]


def _see_that_accounts_are_there(conn: Connection) -> None:
    """Raises CannotAct where entries are there, and none of the accounts by which settlements are told."""
    row = conn.execute(
        """
        select s.codes from (
            select array(select jsonb_array_elements_text(value) from ops.setting where name = 'settlement_accounts' order by 1) as codes) s
        where exists (select from ledger.entry where is_active and not is_deleted)
          and not exists (select from core.accounting_account where code = any(s.codes))
        """
    ).fetchone()
    if row is not None:
        raise CannotAct(
            f"the chart of accounts has none of {', '.join(row[0]) or 'the settlement accounts'}: name the accounts of"
            " settlements with buyers in `reconcile: {settlement_accounts: [...]}` of the mapping file of accounting"
        )


def _act(
    conn: Connection,
    wanted: Wanted,
    rows: Sequence[Mapping[str, Any]],
    place: tuple[str | None, str | None],
    read_on: date | None,
) -> Act:
    organization_key, currency = place
    before = [row for row in rows if row["is_before"]]
    lines = [
        Line(row["document_key"] or "", row["day"], row["kind"] or "", row["number"] or "", row["content"] or "",
             row["debit"], row["credit"])
        for row in rows if not row["is_before"] and (row["debit"] or row["credit"])
    ]  # fmt: skip
    opening = sum((row["debit"] - row["credit"] for row in before), ZERO)
    future = sum(1 for line in lines if read_on and line.day and line.day > read_on)
    act = Act(
        _organization(conn, organization_key), wanted.counterparty, wanted.contract, currency or "?", wanted.first,
        wanted.last, rows[0]["basis"], opening, lines, future=future, read_on=read_on,
    )  # fmt: skip
    found: list[tuple[bool, Note]] = [
        (not lines, "no_turnover"),
        (future > 0, "future"),
        (any(row["day"] is None for row in before), "undated"),
        (read_on is None or wanted.last > read_on, "unread"),
        (any(row["lacks_rate"] for row in rows), "no_rate"),
        (act.closing < 0, "overpaid"),
    ]
    return _noted(act, [note for is_so, note in found if is_so])


def _empty(conn: Connection, wanted: Wanted, read_on: date | None) -> Act:
    """Nothing ever moved: the act says so, in the currency asked for, else accounting's own."""
    ours = [wanted.organization] if wanted.organization else _organizations(conn)
    row = conn.execute(
        "select s.value #>> '{}' from ops.setting s where s.name = 'currency'"
        " and s.system = (select n.value #>> '{}' from ops.setting n where n.name = 'accounting_system')"
    ).fetchone()
    currency = wanted.currency or (row[0] if row else "?")
    act = Act(
        ours[0] if len(ours) == 1 else None, wanted.counterparty, wanted.contract, currency, wanted.first, wanted.last,
        "entries", ZERO, (), read_on=read_on,
    )  # fmt: skip
    return _noted(act, ["no_movement", *(["unread"] if read_on is None or wanted.last > read_on else [])])


def _noted(act: Act, notes: Sequence[Any]) -> Act:
    return Act(
        act.organization, act.counterparty, act.contract, act.currency, act.first, act.last, act.basis, act.opening,
        act.lines, tuple(notes), act.future, act.read_on,
    )  # fmt: skip


def _movements(conn: Connection, wanted: Wanted) -> list[Mapping[str, Any]]:
    """By organization and currency: what moved before the period in one row, then document by document."""
    cursor = conn.execute(
        """
        with moved as (
            select m.*, coalesce(m.day < %(first)s, true) as is_before,
                   -- of one contract a move from another one is a movement; of all contracts it is none
                   case when %(contract)s = '' then m.is_internal else m.set_off <> 0 end as is_left_out
            from marts.settlement_movement m
            where m.counterparty_key = %(party)s and (m.day is null or m.day <= %(last)s)
              and (%(organization)s = '' or m.organization_key = %(organization)s)
              and (%(contract)s = '' or m.contract_key = %(contract)s)
        )
        select m.organization_key, o.name as organization, c.currency, min(m.basis) as basis, m.is_before,
               case when m.is_before then null else m.document_key end as document_key,
               case when bool_or(m.day is null) then null else min(m.day) end as day,
               min(coalesce(d.kind, p.kind)) as kind, min(coalesce(d.number, p.number)) as number,
               min(case when d.document_key is null and p.payment_key is null then m.content end) as content,
               coalesce(sum(m.debit) filter (where not m.is_left_out), 0) as debit,
               coalesce(sum(m.credit) filter (where not m.is_left_out), 0) as credit,
               bool_or(m.own_debit is null or m.own_credit is null) as lacks_rate
        from moved m
        left join core.accounting_organization o on o.organization_key = m.organization_key
        left join marts.currency c on c.currency_key = m.currency_key
        left join ledger.document d on d.document_key = m.document_key
        left join ledger.payment p on p.payment_key = m.document_key
        where %(currency)s = '' or c.currency = %(currency)s
        group by m.organization_key, o.name, c.currency, m.is_before, case when m.is_before then null else m.document_key end,
                 case when m.is_before then null else m.day end
        order by o.name nulls last, m.organization_key nulls last, c.currency, m.is_before desc, day, number, document_key
        """,
        {
            "party": wanted.counterparty.key,
            "first": wanted.first,
            "last": wanted.last,
            "organization": wanted.organization.key if wanted.organization else "",
            "contract": wanted.contract_key,
            "currency": wanted.currency,
        },
    )
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _organization(conn: Connection, key: str | None) -> Party | None:
    if key is None:
        found = _organizations(conn)
        return found[0] if len(found) == 1 else None  # of several nobody says which
    row = conn.execute(
        "select name, tax_number from core.accounting_organization where organization_key = %s", [key]
    ).fetchone()
    return Party(key, row[0] or key, row[1] or "") if row else Party(key, key)


def _organizations(conn: Connection) -> list[Party]:
    rows = conn.execute(
        "select organization_key, name, tax_number from core.accounting_organization where not is_deleted order by name"
    ).fetchall()
    return [Party(key, name or key, number or "") for key, name, number in rows]


def _currencies(conn: Connection) -> set[str]:
    return {name for (name,) in conn.execute("select distinct currency from marts.currency").fetchall()}


def _read_on(conn: Connection) -> date | None:
    """The day, by accounting's own clock, up to which its payments and documents were read."""
    row = conn.execute(
        """
        select (max(b.window_to) at time zone coalesce(max(z.value #>> '{}'), 'UTC'))::date
        from ops.setting n
        join ops.batch b on b.source = n.value #>> '{}' and b.status = 'loaded'
             and b.entity in ('payment', 'realization', 'entry', 'balance')
        left join ops.setting z on z.system = b.source and z.name = 'timezone'
        where n.name = 'accounting_system'
        """
    ).fetchone()
    return row[0] if row else None


def contract_of(conn: Connection, counterparty_key: str, said: str) -> tuple[str, str]:
    """The key and name of a counterparty's contract that is called so (key, name or code). Raises CannotAct."""
    rows = conn.execute(
        "select contract_key, coalesce(name, code, contract_key), coalesce(name, ''), coalesce(code, '') from core.accounting_contract"
        " where counterparty_key = %s order by 2, 1",
        [counterparty_key],
    ).fetchall()
    found = [row for row in rows if said in row] or [row for row in rows if said.lower() in row[1].lower()]
    if len(found) == 1:
        return str(found[0][0]), str(found[0][1])
    told = "\n".join(f"  {key}  {name}" for key, name, *_ in (found or rows))
    which = "several contracts are" if found else "no contract of this counterparty is"
    raise CannotAct(
        f"{which} called {said}; there are:\n{told}" if told else f"{which} called {said}; it has none"
    )
