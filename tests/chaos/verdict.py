"""What must be true once all is settled: asked of the target itself, compared with the plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from tests.chaos.company import Company
from tests.chaos.targets import UP_TO, WRITES, Held, held_by

MAX_SHOWN: Final = 10  # faults, and operations whose events are shown


class BrokenError(Exception):
    """Something that must hold does not; the sentences, and the events of the operations concerned."""


def settled_faults(company: Company, lost: Collection[str]) -> tuple[list[str], int]:
    """How the target differs from the plan, and what has no end; and how many documents were compared.

    `lost`: deals that were lost after their documents were written; these may stay.
    """
    target = company.template.target
    told = [
        f"{kind} {action} of {subject} ({key}) is {state}: {reason}"
        for kind, action, subject, key, state, reason in company.rows(
            """select kind, action, coalesce(subject, ''), key, state, coalesce(reason, '') from ops.operation
                where state in ('planned', 'approved', 'sent', 'uncertain', 'confirmed', 'rejected')
                   or (state = 'held' and reason_code = 'read_back')"""
        )
    ]
    deals = dict(company.rows("select key, subject from ops.operation where subject is not null"))
    held: dict[str, list[Held]] = {}
    for document in held_by(target, company.control):
        held.setdefault(document.key, []).append(
            replace(document, deal=document.deal or deals.get(document.key, ""))
        )
    planned = plan(company)
    for key, due in planned.items():
        told += [
            f"{due['kind']} of {due['deal']} ({key}): {said}"
            for said in _faults(target, due, held.get(key, []))
        ]
    for key, documents in held.items():
        if len(documents) > 1:
            told.append(f"{key}: the target has it {len(documents)} times")
        if key not in planned and documents[0].deal not in lost and documents[0].deal not in _gated(company):
            told.append(f"{documents[0].kind} of {documents[0].deal} ({key}): nothing calls for it")
    # A return and the next revision stand beside the first realization, and any number of corrections.
    twice = Counter(
        (d.deal, d.kind) for found in held.values() for d in found if d.kind in ("order", "invoice")
    )
    told += [f"{kind} of {deal}: {n} documents" for (deal, kind), n in twice.items() if n > 1 and deal]
    return told, len(planned)


def plan(company: Company) -> dict[str, dict[str, Any]]:
    """The documents that accounting must hold, by our key, of deals that nothing holds."""
    system = company.template.target
    rows = company.rows(
        """select split_part(d.document_key, ':', 2), d.deal_id, d.kind, d.document_date::text, d.amount,
                  coalesce(d.vat_amount, 0), d.has_services, l.lines
             from documents.document d
            cross join lateral (
                select jsonb_agg(jsonb_build_array(x.quantity::text, x.amount::text)) as lines,
                       bool_or((x.quantity, x.price, x.amount)
                               is distinct from (x.quantity_before, x.price_before, x.amount_before)) as differs
                  from (select * from documents.document_line y where y.deal_id = d.deal_id and d.lines is null
                        union all
                        select * from jsonb_populate_recordset(null::documents.document_line, d.lines)) x) l
            where d.kind = any(%s) and split_part(d.document_key, ':', 1) = %s
              and not (d.kind = 'correction' and d.amount = 0 and not l.differs)
              and not exists (select from documents.held h where h.deal_id = d.deal_id)""",
        [list(WRITES[system]), system],
    )
    names = ("deal", "kind", "day", "amount", "vat", "has_services", "lines")
    return {key: dict(zip(names, rest, strict=True)) for key, *rest in rows}


def events(company: Company, told: Collection[str]) -> list[str]:
    """The life of the operations that the sentences name, an event a line."""
    keys = [
        key
        for (key,) in company.rows("select distinct key from ops.operation")
        if any(key in s for s in told)
    ]
    return [
        f"{key} {kind} {action}: {before} -> {after} by {actor} at {at}: {reason or ''}"
        for key, kind, action, before, after, actor, at, reason in company.rows(
            """select o.key, o.kind, o.action, e.from_state, e.to_state, e.actor, e.at, e.reason
                 from ops.operation_event e join ops.operation o using (operation_id)
                where o.key = any(%s) order by o.key, e.event_id""",
            [keys[:MAX_SHOWN]],
        )
    ]


def dated_until(company: Company, day: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What the target holds up to this day, whole. SAP closes periods to billing, not to orders."""
    if company.template.target == "sap":
        billing = company.control("accounting/sap")["billing"]
        return {
            ("billing", key): row
            for key, row in billing.items()
            if str(row["BillingDocumentDate"])[:10] <= day
        }
    found = held_by(company.template.target, company.control)
    return {(held.kind, held.key): held.record for held in found if held.day <= day}


def _gated(company: Company) -> set[str]:
    return {deal for (deal,) in company.rows("select deal_id from documents.held")}


def _faults(target: str, due: Mapping[str, Any], documents: list[Held]) -> list[str]:
    if len(documents) != 1:
        return [f"the target has {len(documents)}, 1 is due"]
    (document,) = documents
    told = []
    amount = due["amount"] - due["vat"] if target == "sap" else due["amount"]
    if abs(document.amount - amount) > UP_TO[target]:
        told.append(f"the target has {document.amount}, {amount} is due")
    if document.day != due["day"]:
        told.append(f"is of {document.day}, {due['day']} is due")
    if target == "onec" and document.posted != (due["kind"] != "invoice"):
        told.append(f"posted is {document.posted}")
    if document.lines is not None and due["lines"] is not None:
        lines = tuple(sorted((Decimal(quantity), Decimal(sum_)) for quantity, sum_ in due["lines"]))
        if lines != document.lines:
            told.append(f"has lines {document.lines}, due are {lines}")
    return told
