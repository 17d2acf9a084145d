"""Calls, letters, meetings, tasks and chats about deals, as crm.activity.* shows them: UPPERCASE names, every value a string.

A seller calls about every deal and is written to; some are met, some have a task or a chat. What lies ahead of the portal's
founding is planned. Names and letters stand in SUBJECT and DESCRIPTION, as in a true portal.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sandbox.bitrix24 import fields, projection
from sandbox.company.model import Company, Deal
from sandbox.dirt import number_of, uses_duplicate
from sandbox.store import Record

ACTIVITIES_A_DEAL = 10
MEETING, CALL, TASK, EMAIL, PROVIDER = 1, 2, 3, 4, 6
PROVIDERS = {
    MEETING: ("CRM_MEETING", "MEETING"),
    CALL: ("VOXIMPLANT_CALL", "CALL"),
    EMAIL: ("CRM_EMAIL", "EMAIL"),
}
INCOMING, OUTGOING = 1, 2


def activity_records(
    company: Company, deal: Deal, before: datetime, stamp: datetime | None = None
) -> Iterator[Record]:
    """The activities of a deal. What begins after `before` is planned; `stamp`: when all were entered, else as they happened."""
    number = number_of(deal.id)
    client = projection.company_id(deal.client_id, uses_duplicate(company, deal))
    day = timedelta(days=1)
    said: list[tuple[int, int, timedelta, dict[str, Any]]] = [
        (
            CALL,
            OUTGOING,
            timedelta(hours=1),
            {"SUBJECT": f"Исходящий: {company.parties[deal.party_id].name}"},
        ),
        (
            EMAIL,
            INCOMING,
            day,
            {"SUBJECT": f"Re: {deal.title}", "DESCRIPTION": "Здравствуйте! Пришлите, пожалуйста, счёт."},
        ),
    ]
    if number % 2:
        said.append((MEETING, 0, 3 * day, {"SUBJECT": f"Встреча: {deal.title}", "LOCATION": "у клиента"}))
    if number % 5 == 0:
        said.append(
            (
                PROVIDER,
                0,
                4 * day,
                {"PROVIDER_ID": "CRM_TODO", "PROVIDER_TYPE_ID": "TODO", "SUBJECT": "Напомнить"},
            )
        )
    if number % 7 == 0:
        chat = {"PROVIDER_ID": "IMOPENLINES_SESSION", "PROVIDER_TYPE_ID": "1", "SUBJECT": "Диалог в чате"}
        said.append((PROVIDER, INCOMING, 2 * day, chat))
    if number % 11 == 0:
        about = {"OWNER_TYPE_ID": str(fields.COMPANY), "OWNER_ID": str(client), "SUBJECT": "Входящий звонок"}
        said.append((CALL, INCOMING, 2 * day, about))
    for place, (kind, direction, after, more) in enumerate(said):
        start = deal.created_at + after
        is_done = start < before and not (
            kind == EMAIL and number % 3 == 0
        )  # nobody has looked at the letter
        changed = stamp or (start + timedelta(minutes=20) if is_done else deal.created_at)
        yield activity(
            (100 + number) * ACTIVITIES_A_DEAL + place, fields.DEAL, projection.deal_id(deal.id), kind,
            projection.user_id(deal.employee_id), start, stamp or deal.created_at, min(changed, before),
        ) | {"DIRECTION": str(direction), "COMPLETED": "Y" if is_done else "N", "STATUS": "2" if is_done else "1", **more}  # fmt: skip


def activity(
    number: int,
    owner_type: int,
    owner: int,
    kind: int,
    user: int,
    start: datetime,
    created: datetime,
    changed: datetime,
) -> Record:
    """A row as crm.activity.list shows it: not over, without a direction."""
    provider, type_ = PROVIDERS.get(kind, (None, None))
    begins, ends = projection.iso(start), projection.iso(start + timedelta(minutes=15))
    return {
        "ID": str(number), "OWNER_ID": str(owner), "OWNER_TYPE_ID": str(owner_type), "TYPE_ID": str(kind),
        "PROVIDER_ID": provider, "PROVIDER_TYPE_ID": type_, "PROVIDER_GROUP_ID": None, "ASSOCIATED_ENTITY_ID": "0",
        "SUBJECT": "", "CREATED": projection.iso(created), "LAST_UPDATED": projection.iso(changed), "START_TIME": begins,
        "END_TIME": ends, "DEADLINE": begins, "COMPLETED": "N", "STATUS": "1", "RESPONSIBLE_ID": str(user),
        "PRIORITY": "2", "NOTIFY_TYPE": "0", "NOTIFY_VALUE": "0", "DESCRIPTION": "", "DESCRIPTION_TYPE": "1",
        "DIRECTION": "0", "LOCATION": "", "SETTINGS": [], "ORIGINATOR_ID": None, "ORIGIN_ID": None,
        "AUTHOR_ID": str(user), "EDITOR_ID": str(user), "PROVIDER_PARAMS": [], "PROVIDER_DATA": None,
        "RESULT_MARK": "0", "RESULT_VALUE": None, "RESULT_SUM": None, "RESULT_CURRENCY_ID": None, "RESULT_STATUS": "0",
        "RESULT_STREAM": "0", "RESULT_SOURCE_ID": None, "AUTOCOMPLETE_RULE": "0",
    }  # fmt: skip
