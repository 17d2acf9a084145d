"""What accounting must hold in the end, computed from the clean company, never from a projection.

Outcomes of a deal:
- `load`: the documents listed are due, as listed;
- `hold`: what the CRM shows now must be held for `reason`; the documents listed are due once it is put right,
  and documents made before the mistake stay;
- `none`: no document is due (early stage or lost);
- `ignore`: a test deal;
- `deleted`: gone from the CRM; no new document may be made.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sandbox.company.model import Company, Deal, Party, deal_amounts, documents_due, line_amounts, unit_price

HOLD_REASONS = {
    # dirt of the deal -> reason, in the order in which they are looked at
    "stage_without_rule": "stage_without_rule",
    "client_missing": "client_missing",
    "requisite_ambiguous": "requisite_ambiguous",
    "lines_missing": "lines_missing",
    "product_unknown": "product_unknown",
    "amount_mismatch": "amount_mismatch",
}
PARTY_REASONS = {"inn_missing": "inn_missing", "inn_checksum": "inn_checksum"}
ALIAS = "product_alias"
"""Loads where the mapping knows the spelling (`aliases` in the truth), else held as product_unknown."""


def deal_truth(company: Company, deal: Deal) -> dict[str, Any]:
    """One deal: outcome, reason, documents due with counterparty, totals and lines. Money as text."""
    dirt = company.dirt_of("deal", deal.id)
    party_dirt = company.dirt_of("party", deal.party_id)
    outcome, reason = outcome_of(deal, dirt, party_dirt)
    amounts = deal_amounts(deal)
    return {
        "outcome": outcome,
        "reason": reason,
        "documents": list(documents_due(deal)),
        "stage": deal.stage,
        "pipeline": deal.pipeline,
        "closed_on": deal.closed_on.isoformat() if deal.closed_on else None,
        "client": deal.client_id,
        "counterparty": counterparty(company.parties[deal.party_id]),
        "currency": deal.currency,
        "net": str(amounts.net),
        "vat": str(amounts.vat),
        "total": str(amounts.gross),
        "lines": [
            {
                "product": line.product_id,
                "code": company.products[line.product_id].code,
                "name": company.products[line.product_id].name,
                "unit": company.products[line.product_id].unit,
                "is_service": company.products[line.product_id].is_service,
                "quantity": str(line.quantity),
                "price": str(unit_price(line)),
                "vat_rate": line.vat_rate,
                "vat_included": line.vat_included,
                **{k: str(v) for k, v in line_amounts(line)._asdict().items()},
            }
            for line in deal.lines
        ],
        "manager": deal.employee_id,
        "dirt": sorted([*dirt, *(k for k in party_dirt if k in PARTY_REASONS or k == "inn_without_zero")]),
    }


def outcome_of(deal: Deal, dirt: Mapping[str, str], party_dirt: Mapping[str, str]) -> tuple[str, str | None]:
    if "deleted" in dirt:
        return "deleted", "deleted_in_crm"
    if "test_deal" in dirt:
        return "ignore", "test_deal"
    if "stage_without_rule" in dirt:
        return "hold", "stage_without_rule"
    if not documents_due(deal):
        return "none", None
    for kind, reason in HOLD_REASONS.items():
        if kind in dirt:
            return "hold", reason
    for kind, reason in PARTY_REASONS.items():
        if kind in party_dirt:
            return "hold", reason
    return "load", None


def counterparty(party: Party) -> dict[str, Any]:
    return {
        "party": party.id,
        "name": party.name,
        "legal_form": party.legal_form,
        "inn": party.inn,
        "kpp": party.kpp,
        "country": party.country,
        "known_to_accounting": party.known_to_accounting,
    }


def totals(deals: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """How many deals have each outcome, and the money of those that load, by currency."""
    outcomes: dict[str, int] = {}
    money: dict[str, Decimal] = {}
    for deal in deals.values():
        outcomes[deal["outcome"]] = outcomes.get(deal["outcome"], 0) + 1
        if deal["outcome"] == "load":
            money[deal["currency"]] = money.get(deal["currency"], Decimal(0)) + Decimal(deal["total"])
    return {"outcomes": outcomes, "load_total": {currency: str(sum_) for currency, sum_ in money.items()}}
