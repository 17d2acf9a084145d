"""The entity types of SAP's services: names and types of fields, of our entities and of the parts that come with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from resources.accounting.sap.goods import lifted
from resources.connector import SourceError

if TYPE_CHECKING:
    from resources.accounting.sap.connector import Sap

# Beside SAP's own fields, what this package works out; see `records`.
WORKED_OUT: Final[Mapping[str, tuple[str, ...]]] = {
    "counterparty": ("TaxNumber", "ETag"),
    "product": ("Name", "ETag"),
    "order": ("ETag", "TotalGrossAmount"),
    "realization": ("ETag",),
    "open_item": ("Cleared",),
    "entry": ("EntryAmount",),
    "price": ("PriceType", "PriceCurrency", "PriceUnit", "PricedUnits", "IsDeleted"),
}


def shape(sap: Sap) -> dict[str, dict[str, str]]:
    """By entity its fields and their types; parts as `to_Item/Material`. Raises SourceError."""
    services: dict[str, _Service] = {}
    found: dict[str, dict[str, str]] = {}
    for entity, place in sap.entity_sets.items():
        if entity in ("balance", "account", "currency_rate"):
            continue
        service = services.get(place.service)
        if service is None:
            content = sap.session.get(place.service, "$metadata", json=False).content
            service = services[place.service] = _Service(sap.system, place.service, content)
        if fields := service.fields(place.entity_set, place.expand):
            found[entity] = {"": place.entity_set, **lifted(entity, fields)}
    return found


class _Service:
    """The metadata of one service."""

    def __init__(self, system: str, name: str, content: bytes) -> None:
        try:
            root = ElementTree.fromstring(content)
        except ElementTree.ParseError as error:
            raise SourceError(
                f"{system}: the metadata of {name} is no XML ({error}); see what stands before SAP"
            ) from None
        self.types: dict[str, ElementTree.Element] = {}
        self.sets: dict[str, str] = {}
        self.ends: dict[tuple[str, str], str] = {}
        for element in root.iter():
            tag = element.tag.rpartition("}")[2]
            if tag == "EntityType":
                self.types[element.get("Name", "")] = element
            elif tag == "EntitySet":
                self.sets[element.get("Name", "")] = element.get("EntityType", "").rpartition(".")[2]
            elif tag == "Association":
                for end in element:
                    if end.get("Role"):
                        key = (element.get("Name", ""), end.get("Role", ""))
                        self.ends[key] = end.get("Type", "").rpartition(".")[2]

    def fields(self, entity_set: str, expand: str) -> dict[str, str]:
        """The fields of a set, those of the parts that are expanded with it included."""
        name = self.sets.get(entity_set, "")
        if not name:
            return {}  # the service does not have it (any more)
        found = self._own(name)
        for way in dict.fromkeys(expand.split(",")) if expand else ():
            kind, prefix = name, ""
            for step in way.split("/"):
                kind, prefix = self._led_to(kind, step), f"{prefix}{step}/"
                found[prefix.rstrip("/")] = "Navigation"
                found |= {f"{prefix}{field}": kind_of for field, kind_of in self._own(kind).items()}
        return found

    def _own(self, name: str) -> dict[str, str]:
        return {
            str(p.get("Name")): str(p.get("Type"))
            for p in self.types.get(name, ())
            if p.tag.endswith("}Property")
        }

    def _led_to(self, name: str, step: str) -> str:
        for element in self.types.get(name, ()):
            if element.tag.endswith("}NavigationProperty") and element.get("Name") == step:
                key = (element.get("Relationship", "").rpartition(".")[2], element.get("ToRole", ""))
                return self.ends.get(key, "")
        return ""
