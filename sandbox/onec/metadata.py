"""`$metadata` (EDMX of OData v3) and the service document, written from the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from xml.sax.saxutils import quoteattr

from sandbox.onec.base import Base
from sandbox.onec.model import ENUMS, EntitySet, Property
from sandbox.onec.tables import parameters_of

_NAMESPACE = "StandardODATA"
_REQUIRED = frozenset({"Ref_Key", "LineNumber", "Recorder", "Recorder_Type"})
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0">\n'
    "<edmx:DataServices xmlns:m="
    '"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" '
    'm:DataServiceVersion="3.0" m:MaxDataServiceVersion="3.0">\n'
    f'<Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="{_NAMESPACE}">'
)


def metadata(base: Base) -> bytes:
    """The whole EDMX document in UTF-8: exactly the sets and properties that the base answers now."""
    types, container = _types(base), _container(base)
    return "\n".join([_HEAD, *types, "</Schema>", *container, "</edmx:DataServices></edmx:Edmx>"]).encode()


def service_json(address: str, sets: Iterable[str]) -> dict[str, object]:
    """Root listing in JSON."""
    found = [{"name": name, "url": name} for name in sets]
    return {"odata.metadata": f"{address}$metadata", "value": found}


def service_xml(address: str, sets: Iterable[str]) -> bytes:
    """Root listing as an Atom service document."""
    rows = "\n".join(
        f"<collection href={quoteattr(name)}><atom:title>{name}</atom:title></collection>" for name in sets
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<service xmlns="http://www.w3.org/2007/app" '
        f'xmlns:atom="http://www.w3.org/2005/Atom" xml:base={quoteattr(address)}>\n'
        f"<workspace><atom:title>Default</atom:title>\n{rows}\n</workspace></service>"
    ).encode()


def sliced_of_records(base: Base, register: str) -> bool:
    """Whether slices of a register are asked of its records alone."""
    entity = base.sets[register]
    recorded = entity.register == "information" and entity.recorded
    return recorded and base.reading("slices") == "records"


def _types(base: Base) -> Iterator[str]:
    sets, seen = base.sets, base.columns
    for entity in sets.values():
        yield f'<EntityType Name="{entity.name}" OpenType="true"><Key>'
        yield from (f'<PropertyRef Name="{name}"/>' for name in entity.key)
        yield "</Key>"
        yield from _properties(entity.properties)
        for table in entity.tables:
            row = f"Collection({_NAMESPACE}.{_row_type(entity, table)})"
            yield f'<Property Name="{table}" Type="{row}" Nullable="false"/>'
        for name, _ in _published(entity, sets):
            yield (
                f'<NavigationProperty Name="{name}" Relationship="{_NAMESPACE}.{entity.name}_{name}" '
                'FromRole="Begin" ToRole="End"/>'
            )
        yield "</EntityType>"
    for entity in sets.values():
        for table, props in entity.tables.items():
            yield f'<ComplexType Name="{_row_type(entity, table)}">'
            yield from _properties(props)
            yield "</ComplexType>"
    for owner, tables in seen.items():
        for table, columns in tables.items():
            yield f'<ComplexType Name="{owner}_{table}">'
            yield from _properties(columns)
            yield "</ComplexType>"
    yield from _associations(sets)
    for enum, members in ENUMS.items():
        yield f'<EnumType Name="{enum}" UnderlyingType="Edm.Int32">'
        yield from (f'<Member Name="{member}"/>' for member in members)
        yield "</EnumType>"


def _associations(sets: Mapping[str, EntitySet]) -> Iterator[str]:
    for entity in sets.values():
        for name, prop in _published(entity, sets):
            yield (
                f'<Association Name="{entity.name}_{name}">'
                f'<End Role="Begin" Type="{_NAMESPACE}.{entity.name}" Multiplicity="*"/>'
                f'<End Role="End" Type="{_NAMESPACE}.{prop.target}" Multiplicity="0..1"/></Association>'
            )


def _container(base: Base) -> Iterator[str]:
    sets, seen = base.sets, base.columns
    yield '<Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="Default">'
    yield '<EntityContainer Name="EnterpriseV8" m:IsDefaultEntityContainer="true">'
    for entity in sets.values():
        yield f'<EntitySet Name="{entity.name}" EntityType="{_NAMESPACE}.{entity.name}"/>'
    for entity in sets.values():
        if entity.kind != "Document" or entity.owner:
            continue
        for action in ("Post", "Unpost"):
            yield (
                f'<FunctionImport Name="{action}" IsBindable="true" IsSideEffecting="true">'
                f'<Parameter Name="bindingParameter" Type="{_NAMESPACE}.{entity.name}"/>'
            )
            yield '<Parameter Name="PostingModeOperational" Type="Edm.Boolean"/>'
            yield "</FunctionImport>"
    for owner, tables in seen.items():
        bound = f"{owner}_RecordType" if sliced_of_records(base, owner) else owner
        for table in tables:
            yield (
                f'<FunctionImport Name="{table}" ReturnType="Collection({_NAMESPACE}.{owner}_{table})" '
                'IsBindable="true" IsSideEffecting="false">'
                f'<Parameter Name="bindingParameter" Type="Collection({_NAMESPACE}.{bound})"/>'
            )
            for name in parameters_of(sets[owner], table):
                edm = "Edm.DateTime" if name.endswith("Period") else "Edm.String"
                yield f'<Parameter Name="{name}" Type="{edm}"/>'
            yield "</FunctionImport>"
    yield "</EntityContainer></Schema>"


def _properties(props: Mapping[str, Property]) -> Iterator[str]:
    for prop in props.values():
        nullable = "false" if prop.name in _REQUIRED else "true"
        length = f' MaxLength="{prop.length}"' if prop.length else ""
        yield f'<Property Name="{prop.name}" Type="{prop.edm}" Nullable="{nullable}"{length}/>'


def _published(entity: EntitySet, sets: Mapping[str, EntitySet]) -> Iterator[tuple[str, Property]]:
    """Navigation properties whose target set is published too."""
    for name, prop in entity.navigations.items():
        if prop.target in sets:
            yield name, prop


def _row_type(entity: EntitySet, table: str) -> str:
    return f"{entity.name}_RowType" if table == "RecordSet" else f"{entity.name}_{table}_RowType"
