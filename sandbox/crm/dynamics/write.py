"""POST, PATCH, PUT, DELETE and the actions. Everything is planned first and done when all of it may be done.

    work = Work(space, root)
    work.plan(call)          checks one operation; raises DataverseError
    work.commit()            does what was planned, in order, and gives the answers

So an UpdateMultiple or a change set with one wrong row changes nothing. PATCH on an unknown GUID or alternate key
creates (upsert) unless If-Match says `*`; If-None-Match `*` only creates; If-Match with a version is the
optimistic lock (412).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import msgspec

from sandbox.crm.dynamics.columns import APP_USER
from sandbox.crm.dynamics.model import GUID, DataverseError, Table, bad_request, no_row, no_segment
from sandbox.crm.dynamics.read import found, key_pair, single, sought
from sandbox.crm.dynamics.request import Call, Reply, keyed, said, segments
from sandbox.crm.dynamics.space import Space, decode
from sandbox.crm.dynamics.states import closing, state_change, writable_now
from sandbox.crm.dynamics.values import Payload, payload_error
from sandbox.desk.records import Item

CRM: Final = "Microsoft.Dynamics.CRM."
MAX_TARGETS: Final = 10_000
"""The vendor has no number, but limits of size and time."""
_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "client": {"name": "", "legal_name": "", "inn": "", "kpp": "", "ogrn": "", "vat_id": "", "country": "",
               "phone": "", "email": "", "city": "", "address": "", "employee": None},
    "contact": {"client": None, "first_name": "", "middle_name": "", "last_name": "", "post": "", "phone": "",
                "email": ""},
    "deal": {"title": "", "client": None, "requisite": None, "contact": None, "employee": None, "pipeline": 1,
             "stage": 1, "amount": 0, "currency": "RUB", "begun_on": None, "closed_on": None, "source": None,
             "campaign": None, "payment_status": "", "shipment_status": "", "debt": None},
    "line": {"deal": None, "product": None, "name": "", "quantity": 1, "price": 0, "discount": 0, "vat_rate": 22,
             "vat_included": True, "sort": 10},
    "invoice": {"number": "", "deal": None, "client": None, "requisite": None, "issued_on": None, "due_on": None,
                "amount": 0, "currency": "RUB", "status": "draft"},
    "task": {"deal": None, "employee": None, "text": "", "due_on": None, "key": ""},
    "product": {"code": "", "name": "", "unit": "шт", "okei": "796", "price": 0, "currency": "RUB", "vat_rate": 22,
                "is_service": False, "active": True},
}  # fmt: skip
_NEEDED: Final = {
    "account": ("name", "name"), "opportunity": ("name", "title"), "task": ("subject", "text"),
    "opportunityproduct": ("opportunityid", "deal"),
}  # fmt: skip
"""Columns that a new row must have, with the desk's names of them."""


@dataclass
class Work:
    """Operations that are done together or not at all."""

    space: Space
    root: str
    _steps: list[Callable[[], Reply]] = field(default_factory=list)
    _reserved: dict[str, dict[int, str]] = field(default_factory=dict)  # table -> numbers of rows to be made
    _claimed: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _made: int = 0
    named: dict[str, str] = field(default_factory=dict)  # "$1" -> address, within a change set

    def plan(self, call: Call) -> str | None:
        """Check one operation. Returns the address of the row that it makes or changes."""
        parts = segments(self._follow(call.path))
        name, key = keyed(parts[0]) if parts else ("", None)
        action = parts[-1].removeprefix(CRM)
        if name in ("WinOpportunity", "LoseOpportunity", "Merge"):
            self._unbound(name, _body(call))
            return None
        table = self.space.table(name)
        if (
            key is None
            and len(parts) == 2
            and action in ("CreateMultiple", "UpdateMultiple", "UpsertMultiple")
        ):
            self._multiple(table, action, _body(call))
            return None
        if key is None and call.method == "POST" and len(parts) == 1:
            return self._create(table, _body(call), call)
        if key is None or call.method not in ("PATCH", "PUT", "DELETE"):
            raise DataverseError(
                405, "0x80060888", f"The requested resource does not support http method '{call.method}'."
            )
        if len(parts) > 1:
            return self._property(table, found(self.space, table, key), parts[1:], call)
        if call.method == "DELETE":
            self._delete(table, found(self.space, table, key), call)
            return None
        return self._patch(table, key, _body(call), call)

    def commit(self) -> list[Reply]:
        with self.space.desk.store.together():
            return [step() for step in self._steps]

    # ---- One row ------------------------------------------------------------------------------

    def _patch(self, table: Table, key: str, body: dict[str, Any], call: Call) -> str:
        for number, guid in self._reserved.get(table.name, {}).items():
            if guid == key.lower():
                return self._put(table, number, Payload(self.space, table, self._resolve).read(body), call)
        item = sought(self.space, table, key)
        match, none = call.headers.get("if-match"), call.headers.get("if-none-match")
        if item is None:
            if match is not None:
                raise no_row(table.name, key) if GUID.fullmatch(key) else DataverseError(
                    404, "0x80060891", f"A record with the specified key values does not exist in {table.name} entity"
                )  # fmt: skip
            return self._upserted(table, key, body, call)
        if none == "*":
            raise DataverseError(412, "0x80060892", "A record with matching key values already exists.")
        _locked(item, match)
        return self._update(table, item, body, call)

    def _upserted(self, table: Table, key: str, body: dict[str, Any], call: Call | None) -> str:
        if GUID.fullmatch(key):
            return self._create(table, {**body, table.key: key}, call)
        name, value = key_pair(table, key)
        return self._create(table, {**body, name: value}, call)

    def _update(self, table: Table, item: Item, body: dict[str, Any], call: Call | None) -> str:
        self._may(table)
        writable_now(self.space, table, item, body)
        changes = Payload(self.space, table, self._resolve).read(body)
        changes |= state_change(self.space, table, item, body)
        self._unique(table, body, item.number)
        return self._put(table, item.number, changes, call)

    def _put(self, table: Table, number: int, changes: dict[str, Any], call: Call | None) -> str:
        def step() -> Reply:
            known = self.space.rows[table.name].get(number)
            if known is None:
                raise no_row(table.name, table.shown(number))
            self.space.desk.put(table.entity, number, {**known.body, **changes})
            return self._done(table, number, call, created=False)

        self._steps.append(step)
        return self._address(table, number)

    def _create(self, table: Table, body: dict[str, Any], call: Call | None) -> str:
        self._may(table)
        guid = str(body.get(table.key) or "")
        if guid and not GUID.fullmatch(guid):
            raise payload_error(
                table, f"Cannot convert the literal '{guid}' to the expected type 'Edm.Guid'."
            )
        if guid and (sought(self.space, table, guid) is not None or self._is_reserved(table, guid)):
            raise DataverseError(412, "0x80040237", "Cannot insert duplicate key.")
        changes = Payload(self.space, table, self._resolve).read(body)
        needed = _NEEDED.get(table.name)
        if needed is not None and not changes.get(needed[1]):
            raise bad_request(f"Required field '{needed[0]}' is missing", "0x80048d19")
        self._made += 1
        self._unique(table, body, -self._made)
        if call is not None and call.headers.get("mscrm.suppressduplicatedetection", "").lower() == "false":
            self._duplicates(table, changes)
        kept = {**_DEFAULTS[table.entity], "employee": APP_USER, **changes}
        if "employee" not in _DEFAULTS[table.entity]:
            del kept["employee"]
        if table.entity == "deal" and kept["begun_on"] is None:
            kept["begun_on"] = self.space.desk.clock().date()
        number = self._reserve(table, guid)
        if guid and table.number(guid) != number:
            kept["guid"] = guid.lower()

        def step() -> Reply:
            self.space.desk.add(table.entity, kept, number=number)
            return self._done(table, number, call, created=True)

        self._steps.append(step)
        return f"{self.root}/{table.plural}({guid.lower() or table.shown(number)})"

    def _delete(self, table: Table, item: Item, call: Call) -> None:
        self._may(table)
        _locked(item, call.headers.get("if-match"))

        def step() -> Reply:
            self.space.desk.remove(table.entity, item.number)
            return Reply(204, weight=1)

        self._steps.append(step)

    def _property(self, table: Table, item: Item, rest: list[str], call: Call) -> str:
        """PUT {"value": …} or DELETE on one property, and $ref on a lookup."""
        name = rest[0]
        if rest[1:] == ["$ref"]:
            address = _body(call).get("@odata.id") if call.method == "PUT" else None
            return self._update(table, item, {f"{name}@odata.bind": address}, None)
        if name not in table.columns:
            raise no_segment(name)
        value = _body(call).get("value") if call.method == "PUT" else None
        return self._update(table, item, {name: value}, None)

    # ---- Many rows ----------------------------------------------------------------------------

    def _multiple(self, table: Table, action: str, body: dict[str, Any]) -> None:
        targets = body.get("Targets")
        if not isinstance(targets, list) or not targets or len(targets) > MAX_TARGETS:
            raise bad_request(
                f"The Targets of {action} must be a list of 1 to {MAX_TARGETS} rows.", "0x80040203"
            )
        own, self._steps = self._steps, []
        for target in targets:
            if (
                not isinstance(target, dict)
                or target.get("@odata.type", "").lstrip("#") != f"{CRM}{table.name}"
            ):
                raise bad_request(
                    f"Each item of Targets must have the @odata.type '{CRM}{table.name}'.", "0x80048d19"
                )
            self._target(table, action, target)
        steps, self._steps = self._steps, own

        def step() -> Reply:
            made = [reply() for reply in steps]
            if action != "CreateMultiple":
                return Reply(204, weight=len(made) * _ROW_WEIGHT)
            ids = [reply.headers["OData-EntityId"][-37:-1] for reply in made]
            context = f"{self.root}/$metadata#{CRM}CreateMultipleResponse"
            reply = said({"@odata.context": context, "Ids": ids})
            reply.weight = len(made) * _ROW_WEIGHT
            return reply

        self._steps.append(step)

    def _target(self, table: Table, action: str, target: dict[str, Any]) -> None:
        if action == "CreateMultiple":
            self._create(table, target, None)
            return
        address = target.get("@odata.id")
        key = str(target.get(table.key) or "")
        if isinstance(address, str):
            key = keyed(segments(self._follow(address))[-1])[1] or ""
        if not key:
            raise bad_request("Entity Key Attributes or Primary Id Attribute are required.", "0x80040203")
        item = sought(self.space, table, key)
        if item is not None:
            self._update(table, item, target, None)
        elif action == "UpdateMultiple":
            raise no_row(table.name, key)
        else:
            if not GUID.fullmatch(key) and key_pair(table, key)[0] in target:
                raise bad_request("A key attribute must not stand in the body of an upsert that names it in its "
                                  "address.", "0x80048d19")  # fmt: skip
            self._upserted(table, key, target, None)

    # ---- Actions ------------------------------------------------------------------------------

    def _unbound(self, name: str, body: dict[str, Any]) -> None:
        if name == "Merge":
            self._merge(body)
            return
        close = body.get("OpportunityClose")
        address = close.get("opportunityid@odata.bind") if isinstance(close, dict) else None
        if not isinstance(close, dict) or not isinstance(address, str):
            raise bad_request("Required field 'OpportunityClose' is missing", "0x80048d19")
        table, number = self._resolve(address)
        item = self.space.rows[table.name].get(number)
        if item is None:
            raise no_row(table.name, address)
        ended = close.get("actualend")
        on = date.fromisoformat(str(ended)[:10]) if ended else self.space.desk.clock().date()
        changes = closing(self.space, item, name == "WinOpportunity", body.get("Status"), on)

        def step() -> Reply:
            self.space.desk.put("deal", number, {**item.body, **changes})
            return Reply(204, weight=_ROW_WEIGHT)

        self._steps.append(step)

    def _merge(self, body: dict[str, Any]) -> None:
        rows: list[tuple[Table, Item]] = []
        for role in ("Target", "Subordinate"):
            said_row = body.get(role)
            kind = str(said_row.get("@odata.type", "")).lstrip("#") if isinstance(said_row, dict) else ""
            table = self.space.tables.get(kind.removeprefix(CRM))
            if table is None or not table.merges or not isinstance(said_row, dict):
                raise bad_request(
                    f"The {role} of Merge must be an account, a contact or a lead.", "0x80040203"
                )
            rows.append((table, found(self.space, table, str(said_row.get(table.key)))))
        (table, winner), (other, loser) = rows
        if other.name != table.name or winner.number == loser.number:
            raise bad_request("The Target and the Subordinate must be two rows of one table.", "0x80040203")
        if winner.deleted is not None or loser.deleted is not None:
            raise bad_request("Merge cannot be performed on an inactive record.", "0x80045004")
        content = body.get("UpdateContent")
        changes = Payload(self.space, table, self._resolve).read(content) if isinstance(content, dict) else {}

        def step() -> Reply:
            self.space.desk.merge(table.entity, winner.number, loser.number)
            if changes:
                self.space.desk.put(table.entity, winner.number, {**winner.body, **changes})
            return Reply(204, weight=_ROW_WEIGHT)

        self._steps.append(step)

    # ---- Inside -------------------------------------------------------------------------------

    def _done(self, table: Table, number: int, call: Call | None, *, created: bool) -> Reply:
        """204 with the row's address; or the row itself when the client prefers so."""
        address = self._address(table, number)
        headers = {"OData-EntityId": address} | ({"Location": address} if created else {})
        if call is not None and call.preferences().get("return") == "representation":
            item = self.space.rows[table.name].get(number)
            assert item is not None
            reply = single(self.space, table, item, Call("GET", call.root, call.path, call.query,
                                                         {"prefer": call.headers.get("prefer", "")}))  # fmt: skip
            reply.status = 201 if created else 200
            reply.headers |= headers | {"Preference-Applied": "return=representation"}
            reply.weight = _ROW_WEIGHT
            return reply
        return Reply(204, headers=headers, weight=_ROW_WEIGHT)

    def _address(self, table: Table, number: int) -> str:
        return f"{self.root}/{table.plural}({table.shown(number)})"

    def _follow(self, path: str) -> str:
        """A path with `$1` replaced by what an operation of the change set made."""
        head, slash, rest = path.lstrip("/").partition("/")
        if not head.startswith("$") or head in ("$metadata", "$batch"):
            return path
        if head not in self.named:
            raise bad_request(
                f"Content-ID Reference: '{head}' does not exist in the batch context.", "0x80060888"
            )
        return self.named[head].removeprefix(f"{self.root}/") + slash + rest

    def _resolve(self, address: str) -> tuple[Table, int]:
        path = self._follow(address)
        name, key = keyed(segments(path)[-1])
        table = self.space.table(name)
        if key is None:
            raise bad_request(f"Invalid address of a row: '{address}'.", "0x80048d19")
        for number, guid in self._reserved.get(table.name, {}).items():
            if key.lower() == guid:
                return table, number
        return table, found(self.space, table, key).number

    def _reserve(self, table: Table, guid: str) -> int:
        taken = self._reserved.setdefault(table.name, {})
        known = max(self.space.desk.tables[table.entity], default=0)
        own = table.number(guid) if guid else None
        number = own if own is not None and own > known and own < 1 << 40 else max(known, *taken, 0) + 1
        taken[number] = guid.lower() or table.shown(number)
        return number

    def _is_reserved(self, table: Table, guid: str) -> bool:
        return guid.lower() in self._reserved.get(table.name, {}).values()

    def _may(self, table: Table) -> None:
        if not table.writable:
            raise DataverseError(
                403, "0x80040220",
                f"Principal user (Id={self.space.tables['systemuser'].shown(APP_USER)}, type=8) is missing "
                f"prvWrite{table.schema} privilege on OTC={table.code} for entity '{table.name}'.",
            )  # fmt: skip

    def _unique(self, table: Table, body: dict[str, Any], number: int) -> None:
        for name in table.keys:
            value = body.get(name)
            if not isinstance(value, str) or not value:
                continue
            holder = self.space.rows[table.name].keyed(name, value)
            claimed = self._claimed.setdefault((table.name, name, value), number)
            if claimed != number or (holder is not None and holder.number != number):
                raise DataverseError(
                    412, "0x80060892",
                    f"Entity Key {name} violated. A record with the same value for {name} already exists. A duplicate "
                    "record cannot be created. Select one or more unique values and try again.",
                )  # fmt: skip

    def _duplicates(self, table: Table, changes: dict[str, Any]) -> None:
        """The default rules: accounts of one name, accounts and contacts of one mail address."""
        fields = {"account": ("name", "email"), "contact": ("email",)}.get(table.name, ())
        for item in self.space.rows[table.name].all():
            if any(changes.get(name) and item.body.get(name) == changes[name] for name in fields):
                raise DataverseError(
                    412, "0x80040333",
                    "A record was not created or updated because a duplicate of the current record already exists.",
                )  # fmt: skip


_ROW_WEIGHT: Final = 800
"""How much more work a written row is than a listed one."""


def _locked(item: Item, match: str | None) -> None:
    if match is not None and match != "*" and match != f'W/"{item.version}"':
        raise DataverseError(
            412,
            "0x80060882",
            "The version of the existing record doesn't match the RowVersion property provided.",
        )


def _body(call: Call) -> dict[str, Any]:
    try:
        body = decode(call.body) if call.body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(
            f"Error identified in Payload provided by the user. {error}", "0x80048d19"
        ) from None
    if not isinstance(body, dict):
        raise bad_request(
            "Error identified in Payload provided by the user: an object was expected.", "0x80048d19"
        )
    return body
