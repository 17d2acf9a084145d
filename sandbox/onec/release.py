"""A new release of a configuration: properties of published sets dropped or renamed, the stored rows untouched.

What is stored keeps its names; rows are shown, filtered and accepted under the published ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sandbox.onec.model import EntitySet, Property, Row, with_tables

Change = tuple[str, str, str]
"""(set, property, new name); a new name of "" drops the property. A tabular part's set is named whole."""


def published(sets: Mapping[str, EntitySet], changes: Iterable[Change]) -> dict[str, EntitySet]:
    """The sets as the release shows them. Raises ValueError for a set or property that there is not."""
    whole = {name: entity for name, entity in sets.items() if not entity.owner}
    for name, prop, new in changes:
        if name not in sets:
            raise ValueError(f"no set called {name!r} in this configuration")
        part = sets[name]
        if prop in ("Ref_Key", "LineNumber") or part.register:
            raise ValueError(f"{name}.{prop}: keys and registers stay as they are")
        owner = whole[part.owner or name]
        table = name.removeprefix(f"{part.owner}_") if part.owner else ""
        whole[owner.name] = _changed(owner, table, prop, new)
    return with_tables(whole.values())


def shown(entity: EntitySet, stored: Row) -> Row:
    """A stored row under the published names."""
    if not entity.changed:
        return stored
    if entity.owner:
        return stored
    row = _shown(entity.properties, entity.renamed, stored)
    for table, props in entity.tables.items():
        if table in stored:
            names = entity.renamed_rows.get(table, {})
            row[table] = [_shown(props, names, item) for item in stored[table]]
    return row


def kept_names(entity: EntitySet, row: Row) -> Row:
    """A row of published names under the stored ones."""
    if not entity.changed:
        return row
    found = {entity.renamed.get(name, name): value for name, value in row.items()}
    for table, names in entity.renamed_rows.items():
        if table in found:
            found[table] = [{names.get(n, n): v for n, v in item.items()} for item in found[table]]
    return found


def _shown(props: Mapping[str, Property], renamed: Mapping[str, str], stored: Row) -> Row:
    row: Row = {}
    for name in props:
        old = renamed.get(name, name)
        if old in stored:
            row[name] = stored[old]
    return row


def _changed(owner: EntitySet, table: str, name: str, new: str) -> EntitySet:
    props = owner.tables[table] if table else owner.properties
    if name not in props:
        raise ValueError(f"{owner.name}{'_' + table if table else ''} has no property {name!r}")
    if new in props:
        raise ValueError(f"{owner.name} has a property {new!r} already")
    before = owner.renamed_rows.get(table, {}) if table else owner.renamed
    found: dict[str, Property] = {}
    for key, prop in props.items():
        if key == name or (key == f"{name}_Type" and props[name].composite):
            if new:
                suffix = key[len(name) :]
                found[new + suffix] = replace(prop, name=new + suffix)
        else:
            found[key] = prop
    renamed = {key: old for key, old in before.items() if key in found}
    if new:
        renamed[new] = before.get(name, name)
        if f"{new}_Type" in found:
            renamed[f"{new}_Type"] = before.get(f"{name}_Type", f"{name}_Type")
    if table:
        tables = {**owner.tables, table: found}
        return replace(
            owner, tables=tables, changed=True, renamed_rows={**owner.renamed_rows, table: renamed}
        )
    return replace(owner, properties=found, changed=True, renamed=renamed)
