"""Tasks of the portal (tasks.task.*): camelCase, numbers as strings, bound to CRM records."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sandbox.bitrix24 import fields, projection
from sandbox.bitrix24.activities import PROVIDER, activity
from sandbox.bitrix24.arguments import integer, order_of, sequence, start_of, where_of
from sandbox.bitrix24.portal import Portal, now
from sandbox.bitrix24.rest import Answer, RestError
from sandbox.bitrix24.table import PAGE, comparable, encode, matches, sort_key
from sandbox.store import Record

KINDS = {"D": fields.DEAL, "CO": fields.COMPANY, "C": fields.CONTACT}


def task_add(portal: Portal, params: dict[str, Any]) -> Answer:
    """tasks.task.add: TITLE and RESPONSIBLE_ID are required; UF_CRM_TASK binds CRM records (D_10, CO_5)."""
    said = params.get("fields") or {}
    if not str(said.get("TITLE") or ""):
        raise RestError(400, "0", "Не указано название задачи")
    if not said.get("RESPONSIBLE_ID"):
        raise RestError(400, "0", "Не указан исполнитель")
    stamp = projection.iso(now())
    row: Record = {
        "ID": portal.store.counter("bitrix24.task"),
        "TITLE": str(said["TITLE"]),
        "DESCRIPTION": str(said.get("DESCRIPTION") or ""),
        "DEADLINE": said.get("DEADLINE") or None,
        "CREATED_BY": integer(said.get("CREATED_BY") or projection.ADMIN, "CREATED_BY"),
        "CREATED_DATE": stamp,
        "CHANGED_BY": projection.ADMIN,
        "CHANGED_DATE": stamp,
        "CLOSED_DATE": None,
        "RESPONSIBLE_ID": integer(said["RESPONSIBLE_ID"], "RESPONSIBLE_ID"),
        "PRIORITY": integer(said.get("PRIORITY") or 1, "PRIORITY"),
        "STATUS": 2,
        "REAL_STATUS": 2,
        "XML_ID": said.get("XML_ID") or None,
        "GROUP_ID": integer(said.get("GROUP_ID") or 0, "GROUP_ID"),
        "PARENT_ID": None,
        "UF_CRM_TASK": [str(v) for v in sequence(said.get("UF_CRM_TASK"))],
        "TAGS": [str(v) for v in sequence(said.get("TAGS"))],
        "guid": "{" + str(uuid.uuid4()) + "}",
    }
    portal.tasks.put(row)
    for bound in row[
        "UF_CRM_TASK"
    ]:  # it stands among the activities of the first deal or company that it is bound to
        short, _, number = bound.partition("_")
        if short in KINDS and number.isdigit():
            portal.activities().put(_as_activity(portal, row, KINDS[short], int(number)))
            break
    return Answer({"task": _task(row)})


def _as_activity(portal: Portal, task: Record, kind: int, owner: int) -> Record:
    number = 200_000_000 + portal.store.counter("bitrix24.activity")
    stamp = now()
    row = activity(number, kind, owner, PROVIDER, task["RESPONSIBLE_ID"], stamp, stamp, stamp)
    provided = {
        "PROVIDER_ID": "CRM_TASKS_TASK",
        "PROVIDER_TYPE_ID": "TASKS_TASK",
        "ASSOCIATED_ENTITY_ID": str(task["ID"]),
    }
    return row | provided | {"SUBJECT": task["TITLE"], "DESCRIPTION": task["DESCRIPTION"]}


def task_list(portal: Portal, params: dict[str, Any]) -> Answer:
    """tasks.task.list: UF_CRM_TASK filters by a bound record, TAG by a tag; newest first by default."""
    said = dict(params.get("filter") or {})
    bound = {str(v) for key in ("UF_CRM_TASK", "=UF_CRM_TASK") for v in sequence(said.pop(key, None))}
    tagged = {str(v) for key in ("TAG", "=TAG") for v in sequence(said.pop(key, None))}
    where = where_of(said, fields.TASK, strict=False)
    order = order_of(params.get("order"), fields.TASK, strict=False) or (("ID", True),)
    ids: Sequence[int]
    if bound or tagged:
        everything = [row for key in range(1, len(portal.tasks) + 1) if (row := portal.tasks.get(key))]
        found = [
            row
            for row in everything
            if (not bound or bound & set(row["UF_CRM_TASK"]))
            and tagged <= set(row.get("TAGS", ()))
            and matches(where, row, fields.TASK)
        ]
        for name, descending in reversed(order):
            values = {r["ID"]: sort_key(comparable(fields.TASK[name], r[name])) for r in found}
            found.sort(key=lambda r, v=values: v[r["ID"]], reverse=descending)  # type: ignore[misc]
        offset = max(start_of(params), 0)
        ids, total = [r["ID"] for r in found[offset : offset + PAGE]], len(found)
        following = offset + PAGE if offset + PAGE < total else None
    else:
        page = portal.tasks.page(where, order, start_of(params))
        ids, total, following = page.ids, page.total or 0, page.next
    names = {_task_name(str(n)) for n in sequence(params.get("select"))}
    rows = []
    for key in ids:
        shown = _task(portal.tasks.get(key) or {})
        rows.append(
            encode({k: v for k, v in shown.items() if not names or "*" in names or k in names or k == "id"})
        )
    return Answer(rows=rows, wrap="tasks", total=total, next=following)


def task_get(portal: Portal, params: dict[str, Any]) -> Answer:
    row = portal.tasks.get(integer(params.get("taskId", params.get("id")), "taskId"))
    if row is None:
        raise RestError(400, "0", "Task not found or not accessible")
    return Answer({"task": _task(row)})


def _task(row: Record) -> Record:
    """A task as the task methods show it: camelCase names, numbers as strings, null for nothing."""
    person = {"id": str(row["RESPONSIBLE_ID"]), "link": f"/company/personal/user/{row['RESPONSIBLE_ID']}/"}
    shown = {
        _task_name(name): None if row[name] is None else str(row[name])
        for name in fields.TASK
        if name not in ("UF_CRM_TASK", "REAL_STATUS")
    }
    # Tags by their numbers, an empty array without any, as PHP encodes both.
    tags = {str(n): {"id": n, "title": title} for n, title in enumerate(row.get("TAGS", ()), 1)}
    return {**shown, "tags": tags or [], "subStatus": "2", "guid": row["guid"], "ufCrmTask": row["UF_CRM_TASK"],
            "responsible": person, "auditors": [], "accomplices": [], "group": []}  # fmt: skip


def _task_name(name: str) -> str:
    if "_" not in name and not name.isupper():
        return name
    first, *rest = name.lower().split("_")
    return first + "".join(part.capitalize() for part in rest)
