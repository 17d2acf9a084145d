"""Writing over the API: insert, update, upsert by external id, delete; one record or a collection of them.

Each record is checked whole before anything of it is stored. With allOrNone a collection is stored whole or
not at all; without it each record stands for itself. What the vendor does on its own follows a write: a
line's change is summed up into its opportunity, an amount written beside lines is ignored, an account takes
its opportunities and contacts along into the recycle bin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, cast

from sandbox.crm.salesforce.fields import Field, SObject
from sandbox.crm.salesforce.ids import read_id, record_id
from sandbox.crm.salesforce.model import Org
from sandbox.crm.salesforce.rest import Refusal, Setting
from sandbox.crm.salesforce.values import Unreadable, heard
from sandbox.desk.records import Body, Happening

MAX_COLLECTION: Final = 200
Apply = Callable[[], int]


class Keys:
    """Records by the value of an external id, kept up to date by listening to the desk."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._known: dict[tuple[str, str], tuple[dict[str, set[int]], dict[int, str]]] = {}
        org.desk.listeners.append(self._hear)

    def find(self, target: SObject, found: Field, value: str) -> list[int]:
        """Numbers of the living records with this value; case does not matter."""
        numbers, _ = self._index(target.entity, found.key)
        return sorted(numbers.get(value.casefold(), ()))

    def _index(self, entity: str, key: str) -> tuple[dict[str, set[int]], dict[int, str]]:
        known = self._known.get((entity, key))
        if known is None:
            known = self._known[entity, key] = ({}, {})
            for item in self._org.desk.living(entity):
                self._note(known, item.number, item.body.get(key))
        return known

    def _hear(self, happening: Happening) -> None:
        for (entity, key), known in self._known.items():
            if entity == happening.entity:
                item = self._org.desk.get(entity, happening.number)
                self._note(known, happening.number, item.body.get(key) if item is not None else None)

    @staticmethod
    def _note(known: tuple[dict[str, set[int]], dict[int, str]], number: int, value: Any) -> None:
        numbers, values = known
        before = values.pop(number, None)
        if before is not None:
            numbers[before].discard(number)
        if value:
            values[number] = str(value).casefold()
            numbers.setdefault(values[number], set()).add(number)


class Writer:
    """Stores what clients send. Every method raises Refusal; Unreadable refuses a whole request."""

    def __init__(self, setting: Setting, org: Org) -> None:
        self._setting, self._org, self._desk = setting, org, setting.desk
        self.keys = Keys(org)

    def insert(self, target: SObject, said: Mapping[str, Any]) -> int:
        return self.inserting(target, said)()

    def update(self, target: SObject, number: int, said: Mapping[str, Any]) -> None:
        self.updating(target, number, said)()

    def delete(self, target: SObject, number: int) -> None:
        self.deleting(target, number)()

    def inserting(self, target: SObject, said: Mapping[str, Any]) -> Apply:
        """Check a new record; the function stores it and gives its number."""
        if not target.creates:
            raise Refusal(
                400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {target.label}"
            )
        values = self._values(target, said, creating=True)
        lacking = [f.name for f in target.fields.values() if f.required and f.name not in values]
        if lacking:
            words = f"Required fields are missing: [{', '.join(lacking)}]"
            raise Refusal(400, "REQUIRED_FIELD_MISSING", words, tuple(lacking))
        body = target.blank()
        self._fill(target, body, values)
        self._unique(target, None, values)

        def apply() -> int:
            self._settle(target, body, values, None)
            item = self._desk.add(target.entity, body)
            self._wrote(target, item.number)
            return item.number

        return apply

    def updating(self, target: SObject, number: int, said: Mapping[str, Any]) -> Apply:
        """Check a change of a living record; the function stores it."""
        if not target.updates:
            raise Refusal(
                400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be updated: {target.label}"
            )
        self._living(target, number)
        values = self._values(target, said, creating=False)
        self._unique(target, number, values)
        self._lock(target, number)

        def apply() -> int:
            body = dict(self._desk.tables[target.entity][number].body)
            self._fill(target, body, values)
            self._settle(target, body, values, number)
            self._desk.put(target.entity, number, body)
            self._wrote(target, number)
            return number

        return apply

    def deleting(self, target: SObject, number: int) -> Apply:
        if not target.deletes:
            raise Refusal(
                400, "INSUFFICIENT_ACCESS_OR_READONLY", f"entity type cannot be deleted: {target.label}"
            )
        self._living(target, number)
        self._lock(target, number)

        def apply() -> int:
            body = self._desk.tables[target.entity][number].body
            if target.name == "Account":
                for entity in ("deal", "contact"):
                    for item in [row for row in self._desk.living(entity) if row.body["client"] == number]:
                        self._desk.remove(entity, item.number)
            self._desk.remove(target.entity, number)
            if target.name == "OpportunityLineItem":
                self._sum_up(body["deal"])
            return number

        return apply

    def upserting(self, target: SObject, name: str, said: Mapping[str, Any]) -> tuple[Apply, bool]:
        """Check an upsert by external id (a field's name or Id), and whether it will create."""
        found = target.by_name.get(name.lower())
        if found is None or not (found.external or found.kind == "id"):
            raise Unreadable(
                400,
                "INVALID_FIELD",
                f"Field name provided, {name} is not an External ID or indexed field for {target.name}",
            )
        value = next((said[known] for known in said if known.lower() == name.lower()), None)
        rest = {known: said[known] for known in said if known.lower() != name.lower()}
        if found.kind == "id":
            if not value:
                return self.inserting(target, rest), True
            return self.updating(target, self.number(target, value), rest), False
        if not value:
            raise Refusal(400, "MISSING_ARGUMENT", f"{found.name} not specified", (found.name,))
        numbers = self.keys.find(target, found, str(value))
        if len(numbers) > 1:
            said_of = f"{found.name}: more than one record found for external id field: {value}"
            raise Refusal(400, "DUPLICATE_EXTERNAL_ID", said_of, (found.name,))
        if numbers:
            return self.updating(target, numbers[0], rest), False
        return self.inserting(target, {**rest, found.name: str(value)}), True

    def number(self, target: SObject, shown: Any) -> int:
        """The number of an id of this object. Raises Refusal MALFORMED_ID or 404-like codes."""
        found = read_id(shown) if isinstance(shown, str) else None
        if found is None or found[0] != target.prefix:
            raise Refusal(400, "MALFORMED_ID", f"malformed id {shown}", ("Id",))
        return found[1]

    def many(
        self, checks: Sequence[Callable[[], tuple[Apply, bool]]], targets: Sequence[SObject | None], *,
        all_or_none: bool, shown: Sequence[str | None], upsert: bool = False,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """One result a record, in order. `checks` prepare a record each and say whether it will be created."""
        results: list[dict[str, Any]] = []
        ready: list[tuple[Apply, bool] | Refusal] = []

        def done(place: int, found: tuple[Apply, bool]) -> dict[str, Any]:
            number = found[0]()
            target = cast("SObject", targets[place])
            said = {"id": record_id(target.prefix, number), "success": True, "errors": []}
            return {**said, "created": found[1]} if upsert else said

        with self._desk.store.together():
            for place, check in enumerate(checks):
                try:
                    found = check()
                    if all_or_none:
                        ready.append(found)
                    else:
                        results.append(done(place, found))
                except Unreadable:
                    raise
                except Refusal as refusal:
                    if all_or_none:
                        ready.append(refusal)
                    else:
                        results.append(refusal.result(shown[place]))
            if not all_or_none:
                return results
            bad = any(isinstance(found, Refusal) for found in ready)
            for place, found_or in enumerate(ready):
                if isinstance(found_or, Refusal):
                    results.append(found_or.result(shown[place]))
                elif bad:
                    results.append(_ROLLED_BACK.result(shown[place]))
                else:
                    results.append(done(place, found_or))
        return results

    # ---- checks -----------------------------------------------------------------------------------

    def _living(self, target: SObject, number: int) -> None:
        item = self._desk.tables[target.entity].get(number)
        if item is None:
            raise Refusal(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ())
        if item.deleted is not None:
            raise Refusal(404, "ENTITY_IS_DELETED", "entity is deleted", ())

    def _lock(self, target: SObject, number: int) -> None:
        locked, shown = self._setting.options.locked, record_id(target.prefix, number)
        if locked.get(shown, 0) > 0:
            locked[shown] -= 1
            said = f"unable to obtain exclusive access to this record or 1 records: {shown}"
            raise Refusal(400, "UNABLE_TO_LOCK_ROW", said, ())

    def _values(self, target: SObject, said: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
        """What was said by field name, read and checked."""
        values: dict[str, Any] = {}
        for name, value in said.items():
            if name.lower() in ("attributes", "type"):
                continue
            found = target.by_name.get(name.lower())
            if found is None and isinstance(value, dict):
                found, value = self._related(target, name, value)
            hidden = self._setting.options.hidden
            if found is None or f"{target.name}.{found.name}" in hidden:
                raise Unreadable(
                    400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {target.name}"
                )
            if found.kind == "id":
                if creating:
                    raise Refusal(400, "INVALID_FIELD", "cannot specify Id in an insert call", ("Id",))
                continue
            if not (found.create if creating else found.update):
                words = (
                    f"Unable to create/update fields: {found.name}. Please check the security settings of this "
                    "field and verify that it is read/write for your profile or permission set."
                )
                raise Refusal(400, "INVALID_FIELD_FOR_INSERT_UPDATE", words, (found.name,))
            values[found.name] = heard(self._org, found, value)
        if values.get("UnitPrice") is not None and values.get("TotalPrice") is not None:
            words = (
                "field integrity exception: unknown (must specify either total or unit price, but not both)"
            )
            raise Refusal(400, "FIELD_INTEGRITY_EXCEPTION", words, ("UnitPrice", "TotalPrice"))
        if creating and target.name == "OpportunityLineItem":
            if values.get("PricebookEntryId") is None and values.get("Product2Id") is None:
                raise _lacks("PricebookEntryId")
            if values.get("UnitPrice") is None and values.get("TotalPrice") is None:
                raise _lacks("UnitPrice")
        return values

    def _related(self, target: SObject, name: str, value: dict[str, Any]) -> tuple[Field | None, Any]:
        """A reference said by the parent's external id: {"Account": {"Ext_Key__c": "..."}}."""
        found = next((f for f in target.fields.values() if f.relation.lower() == name.lower()), None)
        parent = self._org.find(found.refers[0]) if found is not None else None
        keys = [key for key in value if key != "attributes"]
        if found is None or parent is None or len(keys) != 1:
            return None, None
        key = parent.by_name.get(keys[0].lower())
        if key is None or not key.external:
            return None, None
        numbers = self.keys.find(parent, key, str(value[keys[0]]))
        if len(numbers) != 1:
            words = f"Foreign key external ID: {value[keys[0]]} not found for field {key.name} in entity {parent.name}"
            raise Refusal(400, "INVALID_FIELD", words, ())
        return found, record_id(parent.prefix, numbers[0])

    def _unique(self, target: SObject, number: int | None, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            found = target.fields[name]
            if found.unique and value:
                for other in self.keys.find(target, found, str(value)):
                    if other != number:
                        shown = record_id(target.prefix, other)
                        words = f"duplicate value found: {name} duplicates value on record with id: {shown}"
                        raise Refusal(400, "DUPLICATE_VALUE", words, ())

    # ---- storing ----------------------------------------------------------------------------------

    def _fill(self, target: SObject, body: Body, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            found = target.fields[name]
            if found.write is not None:
                if value is not None or not found.required:
                    found.write(body, value)
            elif found.key:
                body[found.key] = value

    def _settle(self, target: SObject, body: Body, values: Mapping[str, Any], number: int | None) -> None:
        """What the vendor works out when a record is saved; without a number it is a new one."""
        if target.name == "Opportunity":
            self._settle_deal(body, values, number)
        elif target.name == "OpportunityLineItem":
            self._settle_line(body, values)

    def _settle_deal(self, body: Body, values: Mapping[str, Any], number: int | None) -> None:
        if number is not None and "Amount" in values and self._desk.children("line", number):
            body["amount"] = self._desk.tables["deal"][number].body["amount"]
        stage = self._desk.get("stage", body["stage"])
        closed = stage is not None and stage.body["outcome"] != "open"
        if not closed:
            body["closed_on"] = None
        elif body["closed_on"] is None or "CloseDate" in values:
            body["closed_on"] = values.get("CloseDate") or body.get("expected_on") or self._desk.company.today

    def _settle_line(self, body: Body, values: Mapping[str, Any]) -> None:
        total = body.pop("total", None)
        if total is not None and body["quantity"]:
            body["price"] = (total / body["quantity"]).quantize(Decimal("0.01"), ROUND_HALF_UP)
        if "Product2Id" in values or not body["name"]:
            product = self._desk.get("product", body["product"]) if body["product"] else None
            if product is not None:
                body["name"] = product.body["name"]
        body["discount"] = body["discount"] or Decimal(0)

    def _wrote(self, target: SObject, number: int) -> None:
        item = self._desk.tables[target.entity][number]
        self._org.written[target.entity, number] = item.version
        if target.name == "OpportunityLineItem":
            self._sum_up(item.body["deal"])

    def _sum_up(self, deal: int) -> None:
        """An opportunity's amount is the sum of its lines, which moves its stamp too."""
        item = self._desk.get("deal", deal)
        rows = self._desk.children("line", deal)
        if item is None:
            return
        body = dict(item.body)
        if rows:
            total = self._org.objects["opportunitylineitem"].fields["TotalPrice"]
            body["amount"] = sum((total.get(row) for row in rows), Decimal(0))
        self._desk.put("deal", deal, body)
        self._org.written["deal", deal] = item.version


_ROLLED_BACK: Final = Refusal(
    400, "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)  # fmt: skip


def _lacks(name: str) -> Refusal:
    return Refusal(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{name}]", (name,))
