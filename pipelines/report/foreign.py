"""What is behind a document that is not ours: what accounting says of it, its versions, lines, entries and payments, who entered
it as far as accounting tells, and why no deal stands behind it. A few statements for all documents together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import sql

from pipelines.report.chain import Chain, Parts, code, money, rows_of
from pipelines.report.formats import figure
from pipelines.report.words import WORDS
from resources.connector import Authorship
from resources.language import Language
from resources.warehouse import Connection

MAX_LINES: Final = 100  # of a document
# Parts of the chain and their columns, in order.
HEADS: Final = {
    "document": ("kind", "number", "document_date", "counterparty", "contract", "amount", "posted", "deleted", "comment"),
    "foreign": ("why",),
    "entered": ("who", "entered_at"),
    "versions": ("version", "seen", "document_date", "counterparty", "amount", "posted", "deleted"),
    "lines": ("product", "quantity", "price", "amount"),
    "entries": ("booked_on", "debit", "credit", "amount", "content"),
    "payments": ("paid_on", "number", "payer", "amount", "rule"),
    "variances": ("reason", "amount", "sentence"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """Where accounting's documents lie in `raw`, and where their records say who entered them."""

    raw_tables: Sequence[str] = ()
    authorship: Authorship = field(default_factory=Authorship)


def foreign_chains(conn: Connection, documents: Sequence[str], told: Told, language: Language) -> list[Chain]:
    """The evidence of those of these documents (`ledger.document`) that are not ours, in their order."""
    words = WORDS[language]
    given = {"documents": list(documents), "most": MAX_LINES}
    facts = {row["document_key"]: row for row in rows_of(conn, _DOCUMENTS, given)}
    given["documents"] = list(facts)
    parts = Parts(HEADS, language)

    def put(name: str, row: Mapping[str, Any], *cells: Any) -> None:
        parts.put(row["document_key"], name, *cells)

    def yes(said: Any) -> str:
        return words["yes"] if said else words["no"]

    def figures(row: Mapping[str, Any], *names: str) -> list[str]:
        return [money(row[name], row["currency"], language) for name in names]

    for row in facts.values():
        put("document", row, code("kind", row["kind"], language), row["number"], row["document_date"], row["counterparty"],
            row["contract"], *figures(row, "amount"), yes(row["is_posted"]), yes(row["is_deleted"]), row["comment"])  # fmt: skip
        for sentence in _why(row, language):
            put("foreign", row, sentence)
    for row in _entered(conn, facts, told):
        put("entered", row, row["by"] or words["by_none"], row["at"] or words["at_none"])
    for row in rows_of(conn, _VERSIONS, given):
        put("versions", row, row["version"], row["known_from"], row["document_date"], row["counterparty"],
            *figures(row, "amount"), yes(row["is_posted"]), yes(row["is_deleted"]))  # fmt: skip
    for row in rows_of(conn, _LINES, given):
        quantity = None if row["quantity"] is None else figure(row["quantity"], "quantity", language)
        put("lines", row, row["product"], quantity, *figures(row, "price", "amount"))
    for row in rows_of(conn, _ENTRIES, given):
        put(
            "entries",
            row,
            row["booked_on"],
            row["debit"],
            row["credit"],
            *figures(row, "amount"),
            row["content"],
        )
    for row in rows_of(conn, _PAYMENTS, given):
        put(
            "payments",
            row,
            row["paid_on"],
            row["payment"],
            row["payer"],
            *figures(row, "amount"),
            code("rule", row["rule"], language),
        )
    for row in rows_of(conn, _VARIANCES, given):
        said = row["sentence_ru" if language == "ru" else "sentence"]
        put("variances", row, code("reason", row["reason"], language), *figures(row, "amount"), said)
    return [
        Chain(
            key,
            f"{code('kind', row['kind'], language)} {row['number'] or key}".strip(),
            f"{words['foreign_evidence']} {key}.",
            parts.of(key),
        )
        for key, row in ((key, facts[key]) for key in documents if key in facts)
    ]


def _why(row: Mapping[str, Any], language: Language) -> list[str]:
    """Why it is held to be nobody's deal, in sentences: what was looked for and not found."""
    words = WORDS[language]
    told = [words["not_written"]]
    if row["copy_of"]:
        told.append(words["repeats"].format(document=row["copied"] or row["copy_of"]))
    elif (row["comment"] or "").startswith("crm:"):
        told.append(words["names_deal"].format(deal=row["comment"].removeprefix("crm:")))
    else:
        told.append(words["names_none"])
    if row["base"]:
        told.append(words["follows"].format(document=row["base"]))
    return told


def _entered(conn: Connection, facts: Mapping[str, Mapping[str, Any]], told: Told) -> list[dict[str, Any]]:
    """Who entered each document and when, as its record says; nobody where accounting does not tell."""
    who = {key: {"document_key": key, "by": None, "at": None} for key in facts}
    own = {row["source_id"]: key for key, row in facts.items()}
    for table in told.raw_tables:
        query = sql.SQL(_SAID).format(sql.Identifier(*table.split(".")))
        given = {"ids": list(own), "by": _paths(told.authorship.by), "at": _paths(told.authorship.at)}
        for row in rows_of(conn, query, given):
            who[own[row["source_id"]]] |= {"by": row["by"], "at": row["at"]}
    return list(who.values())


def _paths(names: Sequence[str]) -> list[str]:
    """`MetaData.CreateTime` as PostgreSQL takes a path."""
    return [f"{{{name.replace('.', ',')}}}" for name in names]


_DOCUMENTS: Final = """
    select d.document_key, d.source_id, d.kind, d.number, d.document_date, p.name as counterparty, t.name as contract, d.amount,
           c.currency, coalesce(d.is_posted, false) as is_posted, d.is_deleted, d.comment, o.copy_of,
           ours.kind || ' ' || ours.number as copied, base.kind || ' ' || coalesce(base.number, d.base_key) as base
    from ledger.document d
    left join ledger.position o on o.document_key = d.document_key
    left join ledger.document ours on ours.document_key = o.copy_of
    left join ledger.document base on base.document_key = d.base_key
    left join core.accounting_counterparty p on p.counterparty_key = d.counterparty_key
    left join core.accounting_contract t on t.contract_key = d.contract_key
    left join marts.currency c on c.currency_key = d.currency_key
    where d.document_key = any(%(documents)s) and o.deal_id is null
"""
_SAID: Final = """
    select r.source_id,
           (select r.payload #>> path::text[] from unnest(%(by)s::text[]) with ordinality as n(path, place)
             where coalesce(r.payload #>> path::text[], '') !~ '^(0{{8}}-0{{4}}-0{{4}}-0{{4}}-0{{12}})?$'
             order by place limit 1) as by,
           (select r.payload #>> path::text[] from unnest(%(at)s::text[]) with ordinality as n(path, place)
             where r.payload #>> path::text[] <> '' order by place limit 1) as at
    from {} r where r.is_current and r.source_id = any(%(ids)s)
"""
_VERSIONS: Final = """
    select v.document_key, v.version, v.known_from, v.document_date, p.name as counterparty, v.amount, c.currency,
           coalesce(v.is_posted, false) as is_posted, v.is_deleted
    from ledger.document_versions v
    left join core.accounting_counterparty p on p.counterparty_key = v.counterparty_key
    left join marts.currency c on c.currency_key = v.currency_key
    where v.document_key = any(%(documents)s) order by v.document_key, v.known_from, v.said_from
"""
_LINES: Final = """
    select l.document_key, coalesce(p.name, l.product_key) as product, l.quantity, l.price, l.amount, c.currency
    from (select l.*, row_number() over (partition by document_key order by part, position, line_key) as place
          from ledger.document_line l where document_key = any(%(documents)s) and not is_deleted) l
    join ledger.document d on d.document_key = l.document_key
    left join core.accounting_product p on p.product_key = l.product_key
    left join marts.currency c on c.currency_key = d.currency_key
    where l.place <= %(most)s order by l.document_key, l.place
"""
_ENTRIES: Final = """
    select e.document_key, e.booked_on, dr.code as debit, cr.code as credit, e.amount, own.currency, e.content
    from (select e.*, row_number() over (partition by document_key order by position, entry_key) as place
          from ledger.entry e where document_key = any(%(documents)s) and is_active and not is_deleted) e
    left join core.accounting_account dr on dr.account_key = e.account_dr_key
    left join core.accounting_account cr on cr.account_key = e.account_cr_key
    cross join (select own_currency as currency from marts.goods_rule) own
    where e.place <= %(most)s order by e.document_key, e.place
"""
_PAYMENTS: Final = """
    select a.document_key, a.paid_on, y.number as payment, p.name as payer, a.amount, c.currency, a.rule
    from ledger.allocation a
    left join ledger.payment y on y.payment_key = a.payment_key
    left join core.accounting_counterparty p on p.counterparty_key = y.counterparty_key
    left join marts.currency c on c.currency_key = a.currency_key
    where a.document_key = any(%(documents)s) order by a.document_key, a.paid_on, a.allocation_key
"""
_VARIANCES: Final = """
    select document_key, reason, amount, currency, sentence, sentence_ru from marts.variance
    where document_key = any(%(documents)s) order by document_key, variance_key
"""
