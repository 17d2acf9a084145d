"""Change data capture: whole records changed since a moment, deleted ones as stubs, at most 1000 in one answer.

The cap is shared by all kinds of the request and nothing tells that it struck. Kinds without change tracking
(tax codes and the like) are refused; the look-back ends after 30 days.
"""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.accounting.quickbooks import fault, reading
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.kinds import BY_LOWER, Kind
from sandbox.accounting.quickbooks.shelf import sort_id
from sandbox.accounting.quickbooks.values import Row, moment, seconds_of

DAY = 86_400


def answer(file: CompanyFile, params: Mapping[str, str]) -> Row:
    """{"QueryResponse": [one for each kind]}. Raises Refused."""
    said = {name.lower(): value for name, value in params.items()}
    kinds = [_kind(name.strip()) for name in said.get("entities", "").split(",") if name.strip()]
    if not kinds:
        raise fault.missing("entities")
    if not said.get("changedsince"):
        raise fault.missing("changedSince")
    since = seconds_of(said["changedsince"])
    if since is None:
        raise fault.invalid_date("changedSince", said["changedsince"])
    days, oldest = file.options.cdc_days, file.now() - file.options.cdc_days * DAY
    if since < oldest and file.options.cdc_old == "refuse":
        raise fault.query_error(
            f"changedSince must be within the last {days} days; supplied value: {said['changedsince']}"
        )
    if file.options.cdc_old == "clip":
        since = max(since, oldest)
    until = file.now() - file.options.cdc_late
    left = file.options.cdc_most
    found = []
    for kind in kinds:
        rows = _changed(file, kind, since, until)[:left]
        left -= len(rows)
        found.append({kind.name: rows, "startPosition": 1, "maxResults": len(rows)} if rows else {})
    return {"QueryResponse": found}


def _kind(name: str) -> Kind:
    kind = BY_LOWER.get(name.lower())
    if kind is None:
        raise fault.query_error(f"invalid context declaration: {name}")
    if not kind.cdc:
        raise fault.query_error(f"Entity {kind.name} is not supported by change data capture")
    return kind


def _changed(file: CompanyFile, kind: Kind, since: float, until: float) -> list[Row]:
    """Living and deleted records in the order of their ids, newest first (recorded)."""
    shelf = file.shelves[kind.name]
    rows: list[tuple[str, Row]] = []
    for key in shelf.changed_since(since):
        row = shelf.rows[key]
        if (seconds_of(row["MetaData"]["LastUpdatedTime"]) or 0) <= until:
            rows.append((sort_id(key), reading.show(file, kind.name, row)))
    for gone in file.deleted_since(kind.name, since):
        if gone["at"] <= until:
            stub = {
                "domain": "QBO",
                "status": "Deleted",
                "Id": gone["id"],
                "MetaData": {"LastUpdatedTime": moment(gone["at"])},
            }
            rows.append((sort_id(gone["id"]), stub))
    rows.sort(key=lambda pair: pair[0], reverse=True)
    return [row for _, row in rows]
