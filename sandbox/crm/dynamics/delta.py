"""Change tracking: Prefer: odata.track-changes, the delta link, and what it brings.

The first answer is every row, in pages, and a delta link on the last page; the link's token is the version at
which the first page was read, so that what changes while the pages are read comes with the delta. A delta is
first new and changed rows by version, then deletions. A merged row is a changed one: it is deactivated, not
deleted. A token is good for organization.expirechangetrackingindays days.
Source: the vendor's page on change tracking; the code of an expired token from its samples (ExpiredVersionStamp).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from sandbox.crm.dynamics.expand import Wanted
from sandbox.crm.dynamics.masters import EXPIRE_DAYS
from sandbox.crm.dynamics.model import DataverseError, Table, bad_request
from sandbox.crm.dynamics.query import cookie_parts
from sandbox.crm.dynamics.request import JSON_TYPE, MAX_PAGE, Call, Reply, page_size
from sandbox.crm.dynamics.space import Space, encode
from sandbox.desk.records import Item

REFUSED: Final = ("filter", "orderby", "expand", "top")
_TOKEN = re.compile(r"(\d+)\.(\d+)!(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d)")
_PLACE = re.compile(r'<tracking since="(\d+)" until="(\d+)" (upsert|delete)="(\d+)" />')
Part = tuple[int, int, str, int]
"""From which version (0: all rows), up to which, which kind comes next, and behind which key or version."""


def is_tracking(call: Call) -> bool:
    options = call.options()
    return (
        "odata.track-changes" in call.preferences()
        or "$deltatoken" in options
        or 'istracking="True"' in options.get("$skiptoken", "")
    )


def tracked(space: Space, table: Table, call: Call) -> Reply:
    """A page of all rows, or of what changed since a token."""
    options = call.options()
    for name in REFUSED:
        if f"${name}" in options:
            raise bad_request(
                f'The "${name}" query parameter isn\'t supported when Change Tracking is enabled.',
                "0x80060888",
            )
    if not space.tracked(table):
        raise bad_request(f"Change tracking is not enabled for entity: {table.name}.", "0x80060888")
    size = page_size(call)
    since, until, kind, behind = _part(space, options)
    wanted = Wanted.read(space, table, options, call.notes())
    count = size or MAX_PAGE
    upserts, deletions = _after(space, table, since, until, kind, behind)
    rows = upserts[:count]
    gone = deletions[: count - len(rows)]
    more = len(rows) + len(gone) < len(upserts) + len(deletions)
    pieces = wanted.rows(rows, call.root) + [
        encode({
            "@odata.context": f"{call.root}/$metadata#{table.plural}/$deletedEntity",
            "id": table.shown(number), "reason": "deleted",
        })
        for number, _ in gone
    ]  # fmt: skip
    delta = "/$delta" if since else ""
    link: dict[str, Any] = {
        "@odata.context": f"{call.root}/$metadata#{table.plural}{wanted.context()}{delta}"
    }
    select = f"$select={options['$select']}&" if options.get("$select") else ""
    start = f"{call.root}/{table.plural}?{select}"
    if more:
        left = (
            ("delete", gone[-1][1])
            if gone or (len(rows) == len(upserts) and gone)
            else ("upsert", _place(rows[-1], since))
        )
        page = cookie_parts(options["$skiptoken"])[0] if "$skiptoken" in options else 1
        link["@odata.nextLink"] = start + _skiptoken(page + 1, (since, until, *left))
    else:
        at = quote(f"{until}.{space.era}!{space.desk.clock():%m/%d/%Y %H:%M:%S}", safe="")
        link["@odata.deltaLink"] = f"{start}$deltatoken={at}"
    body = b"".join((encode(link)[:-1], b',"value":[', b",".join(pieces), b"]}"))
    applied = ["odata.track-changes"] if "odata.track-changes" in call.preferences() else []
    applied += [f"odata.maxpagesize={size}"] if size is not None else []
    headers = {"Content-Type": JSON_TYPE} | ({"Preference-Applied": ",".join(applied)} if applied else {})
    return Reply(200, body, headers, weight=len(pieces))


def count(space: Space, table: Table, call: Call) -> int:
    """…/$count?$deltatoken=…: how many rows a delta would bring."""
    upserts, deletions = _after(space, table, *_part(space, call.options()))
    return len(upserts) + len(deletions)


def _place(item: Item, since: int) -> int:
    return item.version if since else item.number


def _part(space: Space, options: dict[str, str]) -> Part:
    if "$skiptoken" in options:
        place = _PLACE.search(cookie_parts(options["$skiptoken"])[1])
        if place is None:
            raise bad_request("Malformed XML in the Paging Cookie", "0x80041129")
        return int(place[1]), int(place[2]), place[3], int(place[4])
    if "$deltatoken" not in options:
        return 0, space.version(), "upsert", 0
    said = _TOKEN.fullmatch(options["$deltatoken"])
    if said is None:
        raise bad_request("Invalid delta token.", "0x80040203")
    since = int(said[1])
    at = datetime.strptime(said[3], "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC)
    if int(said[2]) < space.era or space.desk.clock() - at > timedelta(days=EXPIRE_DAYS):
        raise DataverseError(
            space.options.expired_delta, "0x80044352",
            "Version stamp associated with the client has expired. Please perform a full sync.",
        )  # fmt: skip
    return since, space.version(), "upsert", since


def _after(space: Space, table: Table, since: int, until: int, kind: str,
           behind: int) -> tuple[list[Item], list[tuple[int, int]]]:  # fmt: skip
    """What still comes: rows, and deleted numbers with the version of their deletion."""
    rows = space.rows[table.name]
    if not since:
        order = rows.order("number")
        return order.items[order.after((behind,)) :], []
    upserts: list[Item] = []
    if kind == "upsert":
        order = rows.order("version")
        upserts = order.items[order.after((behind, float("inf"))) : order.after((until, float("inf")))]
    low = behind if kind == "delete" else since
    deletions = sorted((v, n) for n, v in rows.dead.items() if low < v <= until)
    return upserts, [(number, version) for version, number in deletions]


def _skiptoken(page: int, part: Part) -> str:
    since, until, kind, behind = part
    inner = (
        f'<cookie page="{page - 1}"><tracking since="{since}" until="{until}" {kind}="{behind}" /></cookie>'
    )
    twice = quote(quote(inner, safe=""))
    return f"$skiptoken=%3Ccookie%20pagenumber=%22{page}%22%20pagingcookie=%22{twice}%22%20istracking=%22True%22%20/%3E"
