"""Why a deal's documents are what they are: the CRM's versions, the mapping file in force, the checks, the operations with
their events, what accounting holds, and what was paid. A few statements for all deals together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from psycopg import sql

from pipelines.commands.operations import REASONS
from pipelines.commands.words import step
from pipelines.operations.phrases import in_russian
from pipelines.report.chain import Chain, Parts, cell, code, money, rows_of
from pipelines.report.words import WORDS
from resources.language import Language
from resources.warehouse import Connection

MAX_VERSIONS: Final = 20  # of a deal, the latest
MAX_EVENTS: Final = 200
# Parts of the chain and their columns, in order.
HEADS: Final = {
    "crm": ("client", "manager", "stage", "created", "closed", "amount", "deleted"),
    "versions": ("version", "said", "seen", "deleted"),
    "mapping": ("source", "fingerprint", "since"),
    "checks": ("check_name", "state", "why"),
    "operations": ("when", "what", "state", "who", "why"),
    "documents": ("kind", "number", "document_date", "expected", "sent", "actual", "posted"),
    "payments": ("paid_on", "number", "kind", "amount", "rule"),
    "variances": ("reason", "amount", "sentence", "cause"),
}


def chains(
    conn: Connection, deals: Sequence[str], raw_tables: Mapping[str, str], language: Language
) -> list[Chain]:
    """The evidence of each of these deals (`core.deal`). `raw_tables` names the raw table of each CRM's deals."""
    words = WORDS[language]
    given = {"deals": list(deals), "most": MAX_EVENTS}
    ru = language == "ru"
    facts = {row["deal_id"]: row for row in rows_of(conn, _DEALS, given)}
    parts = Parts(HEADS, language)

    def put(name: str, row: Mapping[str, Any], *cells: Any) -> None:
        parts.put(row["deal_id"], name, *cells)

    for row in facts.values():
        put("crm", row, row["client"], row["manager"], code("stage", row["stage"], language), row["created_on"],
            row["closed_on"], money(row["amount"], row["currency"], language),
            words["yes"] if row["is_deleted"] else words["no"])  # fmt: skip
    for source, table in raw_tables.items():
        own = {facts[deal]["source_id"]: deal for deal in facts if facts[deal]["source"] == source}
        query = sql.SQL(_VERSIONS).format(sql.Identifier(*table.split(".")))
        for row in rows_of(conn, query, {"ids": list(own), "most": MAX_VERSIONS}):
            put("versions", {"deal_id": own[row["source_id"]]}, str(row["version_id"]), row["said_from"], row["seen_at"],
                words["yes"] if row["deleted"] else words["no"])  # fmt: skip
    for row in rows_of(conn, _MAPPINGS, given):
        put("mapping", row, row["system"], row["fingerprint"][:12], row["loaded_at"])
    for row in rows_of(conn, _CHECKS, given):
        said = row["reason_ru"] if ru else row["reason"]
        if row["actor"]:
            told = words["released"].format(by=row["actor"], at=cell(row["at"], language), why=row["why"])
            said = f"{said} ({told})"
        put("checks", row, row["check_name"], code("severity", row["severity"], language), said)
    for row in rows_of(conn, _OPERATIONS, given):
        why = row["reason"] or ""
        if ru:
            why = REASONS.get(why) or in_russian(why)
        put("operations", row, row["at"], step(row["action"], row["kind"], language),
            code("state", row["to_state"], language), row["actor"], why)  # fmt: skip
    for row in rows_of(conn, _DOCUMENTS, given):
        sums = (
            money(row[name], row["currency"], language)
            for name in ("expected_amount", "sent_amount", "actual_amount")
        )
        put("documents", row, code("kind", row["kind"], language), row["number"], row["actual_date"] or row["expected_date"],
            *sums, words["yes"] if row["is_posted"] else words["no"])  # fmt: skip
    for row in rows_of(conn, _PAYMENTS, given):
        put("payments", row, row["paid_on"], row["payment"], f"{code('kind', row['kind'], language)} {row['number'] or ''}",
            money(row["amount"], row["currency"], language), code("rule", row["rule"], language))  # fmt: skip
    for row in rows_of(conn, _VARIANCES, given):
        put("variances", row, code("reason", row["reason"], language), money(row["amount"], row["currency"], language),
            row["sentence_ru" if ru else "sentence"], row["cause_ru" if ru else "cause"])  # fmt: skip
    nothing = {"checks": words["passed"], "mapping": words["mapping_none"]}
    return [
        Chain(
            deal,
            facts[deal]["title"] or deal if deal in facts else deal,
            f"{words['evidence']} {deal}.",
            parts.of(deal, nothing),
        )
        for deal in deals
    ]


_DEALS: Final = """
    select deal_id, source, source_id, title, client, manager, stage, created_on, closed_on, amount, currency, is_deleted
    from marts.deal where deal_id = any(%(deals)s)
"""
# A deal of a spreadsheet is the rows of one number, its `parent_id`.
_VERSIONS: Final = """
    select subject as source_id, version_id, said_from, seen_at, deleted
    from (select v.*, row_number() over (partition by subject order by version_id desc) as place
          from (select r.*, case when source_id = any(%(ids)s) then source_id else parent_id end as subject
                from {} r where source_id = any(%(ids)s) or parent_id = any(%(ids)s)) v) v
    where place <= %(most)s order by subject, version_id
"""
_MAPPINGS: Final = """
    select distinct on (d.deal_id, v.system) d.deal_id, v.system, v.fingerprint, v.loaded_at
    from (select subject as deal_id, min(planned_at) as planned_at, array_agg(distinct target) as targets
          from ops.operation where subject = any(%(deals)s) group by subject) d
    join core.deal c on c.deal_id = d.deal_id
    join ops.mapping_version v on v.system = any(d.targets || c.source) and v.loaded_at <= d.planned_at
    order by d.deal_id, v.system, v.mapping_version_id desc
"""
_CHECKS: Final = """
    select f.deal_id, f.check_name, f.severity, f.reason, f.reason_ru, r.actor, r.at, r.reason as why
    from documents.failure f
    left join lateral (select actor, at, reason from ops.release x
                       where x.deal_id = f.deal_id and x.check_name = f.check_name and x.revoked_at is null
                       order by release_id desc limit 1) r on true
    where f.deal_id = any(%(deals)s) order by f.deal_id, f.failure_id
"""
_OPERATIONS: Final = """
    select deal_id, kind, action, at, to_state, actor, reason
    from (select o.subject as deal_id, o.kind, o.action, e.at, e.to_state, e.actor, e.reason, e.event_id,
                 row_number() over (partition by o.subject order by e.event_id desc) as place
          from ops.operation o join ops.operation_event e on e.operation_id = o.operation_id
          where o.subject = any(%(deals)s)) e
    where place <= %(most)s order by deal_id, event_id
"""
_DOCUMENTS: Final = """
    select p.deal_id, p.kind, p.number, p.actual_date, p.expected_date, p.expected_amount, p.sent_amount, p.actual_amount,
           coalesce(p.is_posted, false) as is_posted, c.currency
    from ledger.position p
    left join marts.currency c on c.currency_key = coalesce(p.actual_currency_key, p.expected_currency_key)
    where p.deal_id = any(%(deals)s) order by p.deal_id, ops.kind_order(p.kind), p.document_key
"""
_PAYMENTS: Final = """
    select o.deal_id, a.paid_on, y.number as payment, o.kind, o.number, a.amount, c.currency, a.rule
    from ledger.obligation o
    join ledger.allocation a on a.document_key = o.document_key
    left join ledger.payment y on y.payment_key = a.payment_key
    left join marts.currency c on c.currency_key = a.currency_key
    where o.deal_id = any(%(deals)s) order by o.deal_id, a.paid_on, a.allocation_key
"""
_VARIANCES: Final = """
    select deal_id, reason, amount, currency, sentence, sentence_ru, cause, cause_ru from marts.variance
    where deal_id = any(%(deals)s) order by deal_id, variance_key
"""
