"""Entity types, entity sets and services as tables of text, and the $metadata page that is written from them.

A property is one word, `Name:code`: `s35` text, `u4` text kept in upper case, `k10` a key with leading zeros
inside (shown without them, compared with them), `n6` digits (likewise), `c5` currency, `m3` unit, `d` date, `t` time,
`o7` moment with 7 decimals, `b` flag, `g` GUID, `a16.3` amount, `q15.3` quantity, `p24.9` number; then `!` for a key
and `-` for what the interface neither creates nor updates.
Source of names, types and lengths: the $metadata of the released services.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final
from xml.sax.saxutils import quoteattr

EDM: Final = {
    "s": "Edm.String", "u": "Edm.String", "k": "Edm.String", "n": "Edm.String", "c": "Edm.String",
    "m": "Edm.String", "d": "Edm.DateTime", "t": "Edm.Time", "o": "Edm.DateTimeOffset", "b": "Edm.Boolean",
    "g": "Edm.Guid", "a": "Edm.Decimal", "q": "Edm.Decimal", "p": "Edm.Decimal",
}  # fmt: skip
TEXTS: Final = frozenset("suknmc")
NUMBERS: Final = frozenset("aqp")


@dataclass(frozen=True, slots=True)
class Property:
    name: str
    code: str  # the letter, see the top of this module
    length: int = 0
    precision: int = 0
    scale: int = 0
    key: bool = False
    writable: bool = True

    @property
    def empty(self) -> Any:
        """What an initial value is shown as: never null for texts and numbers, trap of every reader."""
        if self.code == "n":
            return "0"
        if self.code in TEXTS:
            return ""
        return {"b": False, "a": "0.00", "q": "0", "p": f"{0:.{self.scale}f}"}.get(self.code)


@dataclass(frozen=True, slots=True)
class Navigation:
    """`join` pairs a property of this type with one of the target."""

    name: str
    target: str  # an entity set of the same service
    many: bool
    join: tuple[tuple[str, str], ...]


@dataclass
class EntityType:
    name: str
    properties: dict[str, Property]
    keys: tuple[str, ...]
    label: str = ""
    units: dict[str, str] = field(default_factory=dict)  # amount or quantity -> property with its unit
    navigations: dict[str, Navigation] = field(default_factory=dict)
    analytic: bool = False
    defaults: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.defaults = {name: found.empty for name, found in self.properties.items()}


@dataclass(frozen=True, slots=True)
class EntitySet:
    """`table` names the stored rows; `verbs` holds letters of create, update, delete and insert by navigation."""

    name: str
    type: EntityType
    table: str
    verbs: str = ""
    etag: str = ""  # the property that the entity tag is made of
    strict: bool = False  # a write must say If-Match


@dataclass
class Service:
    name: str
    namespace: str
    component: str  # the application component that errors name
    sets: dict[str, EntitySet]
    functions: dict[str, dict[str, Any]] = field(default_factory=dict)


def properties(text: str) -> dict[str, Property]:
    found = {}
    for word in text.split():
        name, _, code = word.partition(":")
        flags = code.rstrip("!-")
        size, _, scale = flags[1:].partition(".")
        number = flags[0] in NUMBERS
        found[name] = Property(
            name,
            flags[0],
            0 if number else int(size or 0),
            int(size) if number else 0,
            int(scale or 0),
            "!" in code,
            not code.endswith("-"),
        )
    return found


def entity(name: str, text: str, *, label: str = "", unit: str = "", analytic: bool = False) -> EntityType:
    """An entity type of a table of words. `unit` is the property with the unit of its quantities."""
    found = properties(text)
    units = {}
    for prop in found.values():
        if prop.code == "a":
            units[prop.name] = _currency_of(prop.name, found)
        elif prop.code == "q":
            named = f"{prop.name}Unit"
            units[prop.name] = named if named in found else unit
    keys = tuple(prop.name for prop in found.values() if prop.key)
    return EntityType(name, found, keys, label, {k: v for k, v in units.items() if v}, analytic=analytic)


def navigate(source: EntityType, name: str, target: str, many: bool, *join: str) -> None:
    """Let `source` lead to `target`; `join` lists `property` or `property=property of the target`."""
    pairs = tuple((own, other or own) for own, _, other in (word.partition("=") for word in join))
    source.navigations[name] = Navigation(name, target, many, pairs)


def metadata(service: Service, address: str) -> str:
    """The $metadata page: entity types with the sap: annotations, associations, the container, functions."""
    namespace = service.namespace
    types = {found.type.name: found for found in service.sets.values()}
    body = [_type(found.type, found, namespace) for found in types.values()]
    joins = [(found, nav) for found in service.sets.values() for nav in found.type.navigations.values()]
    body += [_association(found, nav, service) for found, nav in joins]
    body += [
        f"<ComplexType Name={quoteattr(said['result'])}>{_function_result(said)}</ComplexType>"
        for said in service.functions.values()
    ]
    container = [_set(found, namespace) for found in service.sets.values()]
    container += [_association_set(found, nav, namespace) for found, nav in joins]
    container += [_function(name, said, namespace) for name, said in service.functions.items()]
    return (
        '<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="1.0" '
        'xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" '
        'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" '
        'xmlns:sap="http://www.sap.com/Protocols/SAPData"><edmx:DataServices m:DataServiceVersion="2.0">'
        f'<Schema Namespace={quoteattr(namespace)} xml:lang="en" sap:schema-version="1" '
        f'xmlns="http://schemas.microsoft.com/ado/2008/09/edm">{"".join(body)}'
        f'<EntityContainer Name="{namespace}_Entities" m:IsDefaultEntityContainer="true" '
        f'sap:message-scope-supported="true" sap:supported-formats="atom json xlsx">{"".join(container)}'
        f'</EntityContainer><atom:link rel="self" href={quoteattr(f"{address}/$metadata")} '
        'xmlns:atom="http://www.w3.org/2005/Atom"/></Schema></edmx:DataServices></edmx:Edmx>'
    )


def _currency_of(name: str, found: dict[str, Property]) -> str:
    company = "CoCode" in name or "CompanyCode" in name
    for wanted in ("CompanyCodeCurrency" if company else "TransactionCurrency", "Currency"):
        if wanted in found:
            return wanted
    return ""


def _association_name(found: EntitySet, nav: Navigation) -> str:
    return (
        f"assoc_{hashlib.md5(f'{found.name}/{nav.name}'.encode(), usedforsecurity=False).hexdigest().upper()}"
    )


def _type(kind: EntityType, found: EntitySet, namespace: str) -> str:
    keys = "".join(f'<PropertyRef Name="{name}"/>' for name in kind.keys)
    own = "".join(_property(kind, prop, found) for prop in kind.properties.values())
    links = "".join(
        f'<NavigationProperty Name="{nav.name}" Relationship="{namespace}.{_association_name(found, nav)}" '
        f'FromRole="FromRole_{_association_name(found, nav)}" ToRole="ToRole_{_association_name(found, nav)}"/>'
        for nav in kind.navigations.values()
    )
    aggregate = ' sap:semantics="aggregate"' if kind.analytic else ""
    label = quoteattr(kind.label or kind.name)
    head = f'<EntityType Name="{kind.name}"{aggregate} sap:label={label} sap:content-version="1">'
    return f"{head}<Key>{keys}</Key>{own}{links}</EntityType>"


def _property(kind: EntityType, prop: Property, found: EntitySet) -> str:
    words = [f'Name="{prop.name}" Type="{EDM[prop.code]}"']
    if prop.key:
        words.append('Nullable="false"')
    if prop.code in TEXTS and prop.length:
        words.append(f'MaxLength="{prop.length}"')
    if prop.code in NUMBERS:
        words.append(f'Precision="{prop.precision}" Scale="{prop.scale}"')
    if prop.code in "dot":
        words.append(f'Precision="{prop.length}"')
    if prop.name == found.etag and found.strict:
        words.append('ConcurrencyMode="Fixed"')
    if prop.code in "ukbnd":
        words.append(
            f'sap:display-format="{ {"n": "NonNegative", "d": "Date"}.get(prop.code, "UpperCase") }"'
        )
    if prop.code in "cm":
        words.append(f'sap:semantics="{"currency-code" if prop.code == "c" else "unit-of-measure"}"')
    if prop.name in kind.units:
        words.append(f'sap:unit="{kind.units[prop.name]}"')
    if not prop.writable:
        words.append('sap:creatable="false" sap:updatable="false"')
    if kind.analytic:
        measure = prop.code in "aq"
        words.append(
            f'sap:aggregation-role="{"measure" if measure else "dimension"}"' if not prop.key else ""
        )
        words.append('sap:filterable="false"' if measure or prop.key else "")
    return f"<Property {' '.join(word for word in words if word)}/>"


def _association(found: EntitySet, nav: Navigation, service: Service) -> str:
    name, target = _association_name(found, nav), service.sets[nav.target].type.name
    return (
        f'<Association Name="{name}" sap:content-version="1"><End Type="{service.namespace}.{found.type.name}" '
        f'Multiplicity="1" Role="FromRole_{name}"/><End Type="{service.namespace}.{target}" '
        f'Multiplicity="{"*" if nav.many else "0..1"}" Role="ToRole_{name}"/></Association>'
    )


def _set(found: EntitySet, namespace: str) -> str:
    may = "".join(
        f' sap:{word}="false"'
        for letter, word in (("c", "creatable"), ("u", "updatable"), ("d", "deletable"))
        if letter not in found.verbs
    )
    return (
        f'<EntitySet Name="{found.name}" EntityType="{namespace}.{found.type.name}"{may} '
        'sap:content-version="1"/>'
    )


def _association_set(found: EntitySet, nav: Navigation, namespace: str) -> str:
    name = _association_name(found, nav)
    return (
        f'<AssociationSet Name="{name}" Association="{namespace}.{name}" sap:creatable="false" '
        f'sap:updatable="false" sap:deletable="false" sap:content-version="1"><End EntitySet="{found.name}" '
        f'Role="FromRole_{name}"/><End EntitySet="{nav.target}" Role="ToRole_{name}"/></AssociationSet>'
    )


def _function_result(said: dict[str, Any]) -> str:
    return "".join(
        f'<Property Name="{prop.name}" Type="{EDM[prop.code]}" Nullable="false" MaxLength="{prop.length}"/>'
        for prop in properties(said["properties"]).values()
    )


def _function(name: str, said: dict[str, Any], namespace: str) -> str:
    result = f"{namespace}.{said['result']}"
    result = f"Collection({result})" if said.get("many") else result
    given = "".join(
        f'<Parameter Name="{each}" Type="Edm.String" Mode="In" MaxLength="10"/>'
        for each in said["parameters"]
    )
    return (
        f'<FunctionImport Name="{name}" ReturnType="{result}" m:HttpMethod="{said["method"]}" '
        f'sap:action-for="{namespace}.{said["for"]}">{given}</FunctionImport>'
    )
