"""What a payload says, checked and worded as the desk keeps it.

    changes = Payload(space, table, resolve).read({"name": "…", "customerid_account@odata.bind": "/accounts(…)"})

Columns that the platform keeps by itself are ignored in a payload, as the vendor does; unknown ones are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from sandbox.crm.dynamics.columns import CURRENCIES
from sandbox.crm.dynamics.filter import moment
from sandbox.crm.dynamics.model import EDM, GUID, LOOKUPS, Column, DataverseError, Table, bad_request, no_row
from sandbox.crm.dynamics.space import Space

BIND: Final = "@odata.bind"
MONEY_LIMIT: Final = Decimal(922_337_203_685_477)
_CODES: Final = {number: code for code, number in CURRENCIES.items()}
_CENT: Final = Decimal("0.01")
Resolve = Callable[[str], tuple[Table, int]]
"""The table and number of a row's address; raises DataverseError when there is no such row."""


class Payload:
    def __init__(self, space: Space, table: Table, resolve: Resolve) -> None:
        self._space, self._table, self._resolve = space, table, resolve

    def read(self, said: dict[str, Any]) -> dict[str, Any]:
        """Fields of the desk with their new values. Raises DataverseError in the vendor's words."""
        changes: dict[str, Any] = {}
        for name, value in said.items():
            if name.endswith(BIND):
                changes.update(self._bound(name.removesuffix(BIND), value))
            elif "@" not in name and name not in ("statecode", "statuscode", self._table.key):
                column = self._column(name, value)
                if column is not None and column.keep:
                    changes[column.keep] = self._value(column, value)
                    if column.kind == "DateTime":  # the desk keeps days
                        changes[f"{column.keep}_at"] = value
        return changes

    def _column(self, name: str, value: Any) -> Column | None:
        column = self._table.columns.get(name)
        if column is None and name in self._table.navs and value is None:
            return self._table.navs[name]
        if column is None:
            raise payload_error(self._table, f"The property '{name}' does not exist on type 'Microsoft.Dynamics.CRM."
                                f"{self._table.name}'. Make sure to only use property names that are defined by the type.")  # fmt: skip
        if column.kind in LOOKUPS:
            raise bad_request("CRM do not support direct update of Entity Reference properties, Use Navigation "
                              "properties instead.", "0x80048d19")  # fmt: skip
        return column

    def _bound(self, nav: str, address: Any) -> dict[str, Any]:
        column = self._table.navs.get(nav)
        if column is None:
            raise payload_error(
                self._table,
                f"An undeclared property '{nav}' which only has property annotations in the payload but no property "
                "value was found in the payload. In OData, only declared navigation properties and declared named "
                "streams can be represented as properties without values.",
            )
        if address is None:
            return {column.keep: None} if column.keep else {}
        if not isinstance(address, str):
            raise payload_error(self._table, f"The value of '{nav}{BIND}' is not a text.")
        other, number = self._resolve(address)
        if other.name != column.target:
            raise bad_request(
                f"A value of type 'Microsoft.Dynamics.CRM.{other.name}' cannot be bound to '{nav}'.",
                "0x80048d19",
            )
        if column.keep == "currency":
            return {"currency": _CODES[number]}
        return {column.keep: number} if column.keep else {}

    def _value(self, column: Column, value: Any) -> Any:
        if value is None:
            return "" if EDM[column.kind] == "Edm.String" else None
        table, edm = self._table, EDM[column.kind]
        if edm == "Edm.String":
            if not isinstance(value, str):
                raise _literal(table, value, edm)
            if len(value) > (column.length or 100):
                raise bad_request(
                    f"A validation error occurred.  The length of the '{column.name}' attribute of the '{table.name}' "
                    f"entity exceeded the maximum allowed length of '{column.length or 100}'.", "0x80044331",
                )  # fmt: skip
            return value
        if column.kind == "Picklist":
            if value not in column.options or isinstance(value, bool):
                known = ",".join(str(number) for number in column.options)
                raise bad_request(
                    f"A validation error occurred.  The value {value} of '{column.name}' on record of type "
                    f"'{table.name}' is outside the valid range. Accepted Values: {known}", "0x8004431a",
                )  # fmt: skip
            return value - 99_999_999 if column.keep == "source" else value
        if edm == "Edm.Decimal":
            if isinstance(value, bool) or not isinstance(value, int | Decimal):
                raise _literal(table, value, edm)
            number = Decimal(value)
            if column.kind == "Money" and abs(number) > MONEY_LIMIT:
                raise bad_request(
                    f"A validation error occurred.  The value of '{column.name}' on record of type '{table.name}' is "
                    "outside the valid range.", "0x80044330",
                )  # fmt: skip
            return number.quantize(_CENT, ROUND_HALF_UP) if column.kind == "Money" else number
        if edm in ("Edm.Int32", "Edm.Int64", "Edm.Boolean"):
            if isinstance(value, bool) is not (edm == "Edm.Boolean") or not isinstance(value, int):
                raise _literal(table, value, edm)
            return value
        return self._stamp_or_guid(column, value)

    def _stamp_or_guid(self, column: Column, value: Any) -> Any:
        edm = EDM[column.kind]
        if not isinstance(value, str):
            raise _literal(self._table, value, edm)
        if edm == "Edm.Guid":
            other = self._space.target(column)
            number = other.number(value) if GUID.fullmatch(value) else None
            if number is None or self._space.rows[other.name].get(number) is None:
                raise no_row(other.name, value)
            return number
        try:
            return moment(value).date() if "T" in value and edm != "Edm.Date" else date.fromisoformat(value)
        except ValueError:
            raise _literal(self._table, value, edm) from None


def payload_error(table: Table, reason: str) -> DataverseError:
    return bad_request(
        f"Error identified in Payload provided by the user for Entity :'{table.plural}', For more information on this "
        "error please follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : "
        f"Microsoft.OData.ODataException: {reason}",
        "0x80048d19",
    )


def _literal(table: Table, value: Any, edm: str) -> DataverseError:
    return payload_error(table, f"Cannot convert the literal '{value}' to the expected type '{edm}'.")
