"""Smart invoices of the portal (entityTypeId 31), written by sales people for about half of the deals that owe one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sandbox.bitrix24.projection import OWN_COMPANY, deal_id, iso
from sandbox.company.model import INVOICE_STAGES, WON_STAGES, Company, Deal
from sandbox.dirt import number_of
from sandbox.store import Record

CATEGORY = 2
"""Invoices have one pipeline; its number differs from portal to portal."""
DUE_DAYS = 5
STAGES = (
    ("N", "Новый", None),
    ("S", "Отправлен клиенту", None),
    ("P", "Оплачен", "S"),
    ("D", "Не оплачен", "F"),
)


def invoice_id(key: str) -> int:
    return 3_000_000 + number_of(key)


def stage(letter: str) -> str:
    return f"DT31_{CATEGORY}:{letter}"


def stage_names() -> list[tuple[str, str, str, str | None]]:
    """Entity, stage, name, semantics, as crm.status.list has them."""
    return [(f"SMART_INVOICE_STAGE_{CATEGORY}", stage(letter), name, s) for letter, name, s in STAGES]


def invoice_record(company: Company, deal: Deal, shown: Record, stamp: str) -> Record | None:
    """The invoice of a deal, or None where nobody wrote one. `shown` is the deal as the portal shows it."""
    if deal.stage not in INVOICE_STAGES or number_of(deal.id) % 2:
        return None
    number = number_of(deal.id)
    letter = "P" if deal.stage in WON_STAGES and number % 3 else ("N", "S", "S", "D")[number // 2 % 4]
    made = deal.created_at + timedelta(hours=3)
    day = made.date()
    values: dict[str, Any] = {
        "id": invoice_id(deal.id), "title": f"Счёт {deal.title}", "accountNumber": f"СЧ-{number:05d}",
        "xmlId": None, "categoryId": CATEGORY, "stageId": stage(letter), "previousStageId": stage("N"),
        "createdTime": iso(made), "updatedTime": stamp, "createdBy": shown["assignedById"],
        "updatedBy": shown["assignedById"], "assignedById": shown["assignedById"], "opened": "Y",
        "lastActivityBy": shown["assignedById"], "lastActivityTime": stamp, "movedBy": shown["assignedById"],
        "movedTime": stamp, "opportunity": shown["opportunity"], "isManualOpportunity": "N",
        "taxValue": shown["taxValue"], "currencyId": shown["currencyId"], "companyId": shown["companyId"],
        "contactId": shown["contactId"], "contactIds": shown["contactIds"], "mycompanyId": OWN_COMPANY,
        "parentId2": deal_id(deal.id), "begindate": f"{day.isoformat()}T03:00:00+03:00",
        "closedate": f"{(day + timedelta(days=DUE_DAYS)).isoformat()}T03:00:00+03:00", "comments": "",
        "sourceId": shown["sourceId"], "observers": [], "originatorId": None, "originId": None,
        "utmSource": None, "utmMedium": None, "utmCampaign": None, "entityTypeId": 31,
    }  # fmt: skip
    return values
