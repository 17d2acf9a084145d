"""What a row of a write says, checked and turned into the desk's fields.

Codes and details of errors: the vendor's page of errors and answers recorded in the issues of its official
client (a choice that is not there, a user who has left, a reason of loss for a deal that is not lost).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sandbox.company.model import MOSCOW
from sandbox.crm.amocrm.account import LOST, UNSORTED, WON, Account, day_of, id_of, moment, number_of
from sandbox.crm.amocrm.fields import NOT_A_CHOICE, WrongValueError, heard
from sandbox.crm.amocrm.http import whole
from sandbox.desk.records import Body, Item

Row = dict[str, Any]
MISSING: Final = "This field is missing."
_NO_CLIENT: Final[Body] = {
    "name": "", "legal_name": "", "inn": "", "kpp": "", "ogrn": "", "vat_id": "", "country": "RU", "phone": "",
    "email": "", "city": "", "address": "", "employee": None,
}  # fmt: skip
_NO_CONTACT: Final[Body] = {
    "client": None, "first_name": "", "middle_name": "", "last_name": "", "post": "", "phone": "", "email": "",
}  # fmt: skip
_NO_DEAL: Final[Body] = {
    "title": "", "client": None, "requisite": None, "contact": None, "employee": None, "pipeline": 1,
    "stage": 1, "amount": Decimal(0), "currency": "RUB", "begun_on": None, "closed_on": None, "source": None,
    "campaign": None, "payment_status": "", "shipment_status": "", "debt": None,
}  # fmt: skip
_NO_PRODUCT: Final[Body] = {
    "code": "", "name": "", "unit": "шт", "okei": "796", "price": Decimal(0), "currency": "RUB", "vat_rate": 22,
    "is_service": False, "active": True,
}  # fmt: skip
_NO_TASK: Final[Body] = {"deal": None, "employee": None, "text": "", "due_on": None, "key": ""}


@dataclass(slots=True)
class Draft:
    """A row as it would be saved. `wrong` are errors of its form, `refused` the reason of a rule or None."""

    row: Row
    place: int
    item: Item | None = None
    body: Body = field(default_factory=dict)
    created: datetime | None = None
    modified: datetime | None = None
    wrong: list[dict[str, str]] = field(default_factory=list)
    refused: str | None = None

    @property
    def request_id(self) -> str:
        return str(self.row.get("request_id", self.place))

    def fail(self, code: str, path: str, detail: str) -> None:
        self.wrong.append({"code": code, "path": path, "detail": detail})

    def text(self, name: str) -> str | None:
        """A text that the row gives, or None. Notes an error for anything else."""
        if name not in self.row:
            return None
        if not isinstance(self.row[name], str):
            self.fail("InvalidType", name, "This value should be of type string.")
            return None
        return str(self.row[name])

    def number(self, name: str) -> int | None:
        """A whole number that the row gives, or None. Notes an error for anything else but null."""
        value = self.row.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail("InvalidType", name, "This value should be of type int.")
            return None
        return value

    def missing(self, name: str) -> bool:
        if self.row.get(name) in (None, ""):
            self.fail("FieldMissing", name, MISSING)
            return True
        return False


def read(account: Account, kind: str, row: Row, place: int, item: Item | None) -> Draft:
    """Check one row of leads, contacts, companies, products, invoices or tasks."""
    draft = Draft(row, place, item, dict(item.body) if item is not None else dict(_EMPTY[kind]))
    for name in ("created_at", "updated_at"):
        if (seconds := draft.number(name)) is not None:
            setattr(draft, "created" if name == "created_at" else "modified", moment(seconds))
    for name in ("created_by", "updated_by", "responsible_user_id"):
        _user(account, draft, name, kind)
    _READ[kind](account, draft)
    if (values := row.get("custom_fields_values")) is not None and kind != "tasks":
        try:
            draft.body.update(heard(account, kind, values, draft.body))
        except WrongValueError as error:
            path = f"custom_fields_values.{error.path}".rstrip(".")
            draft.fail(error.code, path, str(error))
    return draft


def _user(account: Account, draft: Draft, name: str, kind: str) -> None:
    """A user must be there and active; 0 stands for the system, except as the one responsible."""
    shown = draft.number(name)
    if shown is None or (shown == 0 and name != "responsible_user_id"):
        return
    user = account.desk.get("employee", number_of("employee", shown))
    if user is None or not user.body["active"]:
        draft.fail("NotSupportedChoice", name, NOT_A_CHOICE)
    elif name == "responsible_user_id" and "employee" in draft.body:
        draft.body["employee"] = user.number


def _lead(account: Account, draft: Draft) -> None:
    row, body = draft.row, draft.body
    if (name := draft.text("name")) is not None:
        body["title"] = name
    if row.get("price") is not None:
        price = row["price"]
        if isinstance(price, bool) or not isinstance(price, int | Decimal):
            draft.fail("InvalidType", "price", "This value should be of type numeric.")
        else:
            body["amount"] = Decimal(price if account.options.minor_units else int(price))
    _stage(account, draft)
    if (closed := draft.number("closed_at")) is not None:
        body["closed_on"] = day_of(closed)
    if row.get("loss_reason_id") and account.statuses()[body["stage"]][1] != LOST:
        draft.refused = "Loss reason can be specified only for lost lead"
    if draft.item is None:
        _embedded(account, draft, "companies", "client")
        _embedded(account, draft, "contacts", "contact")
        body["begun_on"] = account.desk.clock().astimezone(MOSCOW).date()
        body["employee"] = body["employee"] or 1


def _stage(account: Account, draft: Draft) -> None:
    """Pipeline and status; a deal that moves to another pipeline without a status begins at its first."""
    pipeline, status = draft.number("pipeline_id"), draft.number("status_id")
    if pipeline is None and status is None:
        return
    shown, before = account.statuses(), draft.body["stage"]
    current = shown[before][0] if draft.item is not None or pipeline is None else pipeline
    pipeline = pipeline if pipeline is not None else current
    if account.desk.get("pipeline", number_of("pipeline", pipeline)) is None:
        draft.fail("NotSupportedChoice", "pipeline_id", NOT_A_CHOICE)
        return
    if status is None or status == UNSORTED + number_of("pipeline", pipeline):
        kept = pipeline == current and draft.item is not None
        status = shown[before][1] if kept else next(s for p, s in shown.values() if p == pipeline)
    stage = account.stage_at(pipeline, status)
    if stage is None:
        draft.fail("NotSupportedChoice", "status_id", NOT_A_CHOICE)
        return
    draft.body["stage"], draft.body["pipeline"] = stage, number_of("pipeline", pipeline)
    if stage != before or draft.item is None:
        ended = status in (WON, LOST)
        draft.body["closed_on"] = account.desk.clock().astimezone(MOSCOW).date() if ended else None


def _embedded(account: Account, draft: Draft, name: str, entity: str) -> None:
    """The first of the records that a new one is linked to."""
    embedded = draft.row.get("_embedded")
    rows = embedded.get(name) if isinstance(embedded, dict) else None
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return
    shown = whole(rows[0].get("id"))
    if shown is None or account.desk.get(entity, number_of(entity, shown)) is None:
        draft.fail("NotSupportedChoice", f"_embedded.{name}.0.id", NOT_A_CHOICE)
        return
    draft.body[entity] = number_of(entity, shown)


def _contact(account: Account, draft: Draft) -> None:
    body = draft.body
    if (name := draft.text("name")) is not None and not {"first_name", "last_name"} & set(draft.row):
        body["first_name"], _, body["last_name"] = name.partition(" ")
    for key in ("first_name", "last_name"):
        if (text := draft.text(key)) is not None:
            body[key] = text
    if draft.item is None:
        _embedded(account, draft, "companies", "client")


def _company(account: Account, draft: Draft) -> None:
    if (name := draft.text("name")) is not None:
        draft.body["name"] = name
        draft.body["legal_name"] = draft.body["legal_name"] or name
    draft.body["employee"] = draft.body["employee"] or 1


def _product(account: Account, draft: Draft) -> None:
    if draft.item is None and draft.missing("name"):
        return
    if (name := draft.text("name")) is not None:
        draft.body["name"] = name


def _invoice(account: Account, draft: Draft) -> None:
    if (name := draft.text("name")) is not None:
        draft.body["number"] = name


def _task(account: Account, draft: Draft) -> None:
    row, body = draft.row, draft.body
    if draft.item is None:
        draft.missing("text")
        draft.missing("complete_till")
    if (text := draft.text("text")) is not None:
        body["text"] = text
    if (till := draft.number("complete_till")) is not None:
        body["due_on"], body["complete_till"] = day_of(till), till
    if (kind := draft.number("task_type_id")) is not None:
        body["task_type_id"] = kind
    if isinstance(row.get("is_completed"), bool):
        body["completed"] = row["is_completed"]
    body["employee"] = body["employee"] or 1
    shown, entity = draft.number("entity_id"), draft.text("entity_type")
    if shown is None:
        return
    names = {"leads": "deal", "contacts": "contact", "companies": "client"}
    if entity not in names:
        draft.fail("NotSupportedChoice", "entity_type", NOT_A_CHOICE)
    elif account.desk.get(names[entity], number_of(names[entity], shown)) is None:
        draft.fail("NotSupportedChoice", "entity_id", NOT_A_CHOICE)
    else:
        body["deal"] = number_of("deal", shown) if entity == "leads" else None
        body["entity_id"], body["entity_type"] = shown, entity


_EMPTY: Final[dict[str, Body]] = {
    "leads": _NO_DEAL, "contacts": _NO_CONTACT, "companies": _NO_CLIENT, "products": _NO_PRODUCT,
    "tasks": _NO_TASK, "invoices": {},
}  # fmt: skip
_READ: Final[dict[str, Callable[[Account, Draft], None]]] = {
    "leads": _lead, "contacts": _contact, "companies": _company, "products": _product, "invoices": _invoice,
    "tasks": _task,
}  # fmt: skip


def named(kind: str, number: int) -> str:
    """What the vendor calls a record that was made without a name."""
    return f"Сделка #{id_of('deal', number)}" if kind == "leads" else "Без названия"
