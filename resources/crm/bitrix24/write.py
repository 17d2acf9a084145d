"""Writing to a portal: payment status and debt into deals and companies, tasks for managers, read back by key.

The portal has neither versions nor idempotency: the last write wins, and a task is found by our own key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from resources.connector import Capabilities, Refused, SourceError, Uncertain, Written
from resources.crm.bitrix24.entities import ITEM_TYPES, USER_FIELDS
from resources.crm.bitrix24.lists import Listing
from resources.crm.bitrix24.portal import BATCH, Portal, call

FIND_IDS = 50  # ids of one look-up: a page of them
TASK_TAG = "sverka-"  # a task carries our key as a tag (tasks.task.list filters by TAG) and as XML_ID
TASK_FIELDS = [
    "ID",
    "TITLE",
    "STATUS",
    "XML_ID",
    "TAGS",
    "UF_CRM_TASK",
    "RESPONSIBLE_ID",
    "DEADLINE",
    "DESCRIPTION",
]


class Writer:
    """The writing half of a portal's connector; `Bitrix24` is the whole."""

    capabilities: ClassVar[Capabilities]
    system: str
    portal: Portal

    def user_fields_of(self, name: str) -> list[str]:
        """The user fields that deals, companies or contacts of this portal have."""
        raise NotImplementedError

    def item_listing(self, kind: str, fields: Sequence[str]) -> Listing:
        """The list of these records with these fields, or with more."""
        raise NotImplementedError

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """Create a task (the only kind). Our key becomes its XML_ID and a tag, by which `find` finds it.

        The portal has no idempotency for tasks: probe with `find` before a resend.
        """
        result = self.portal.call("tasks.task.add", {"fields": self._new_task(kind, key, body)}, write=True)
        return self._made(result)

    def create_many(
        self, kind: str, rows: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> list[Written | SourceError]:
        """Create many tasks, up to 50 a request; each row's own outcome, in order, as `update_many` gives it."""
        calls = [call("tasks.task.add", fields=self._new_task(kind, key, body)) for key, body in rows]
        return self._in_batches(kind, [key for key, _ in rows], calls, lambda _, value: self._made(value))

    def _new_task(self, kind: str, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if kind != "task":
            raise Refused(f"{self.system}: a {kind} is not created from here, only task")
        linked = body.get("UF_CRM_TASK", ())  # D_17 ties the task to deal 17
        return {
            **body,
            "UF_CRM_TASK": [linked] if isinstance(linked, str) else list(linked),
            "XML_ID": key,
            "TAGS": [*body.get("TAGS", ()), TASK_TAG + key],
        }

    def _made(self, result: Mapping[str, Any] | None) -> Written:
        task = (result or {}).get("task") or {}
        if not task.get("id"):
            raise Uncertain(f"{self.system}: tasks.task.add answered without the task's id; look it up")
        return Written(str(task["id"]), task)

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        """Change the named fields of a deal or company. The portal keeps no versions: the last write wins.

        The answer's `updatedTime` is the stamp of our own change, by which it is known when read again.
        """
        params = {**self._update(kind, key), "fields": dict(body)}
        result = self.portal.call("crm.item.update", params, write=True) or {}
        return Written(key, result.get("item") or {})

    def update_many(
        self, kind: str, rows: Sequence[tuple[str, Mapping[str, Any]]], versions: Sequence[str] = ()
    ) -> list[Written | SourceError]:
        """Update many records, 20 in the first request, then as many as the portal does in 25 s, up to 50; each
        row's own outcome, in order. The last write wins, whatever `versions` are.

        A refused row is Refused, one that the portal's limits stopped is a retriable SourceError, one whose
        request got no answer is Uncertain. Raises nothing of these itself.
        """
        calls = [call("crm.item.update", **self._update(kind, key), fields=dict(body)) for key, body in rows]
        keys = [key for key, _ in rows]
        return self._in_batches(kind, keys, calls, lambda key, value: Written(key, value.get("item") or {}))

    def _in_batches(
        self,
        kind: str,
        keys: Sequence[str],
        calls: Sequence[str],
        written: Callable[[str, Mapping[str, Any]], Written],
    ) -> list[Written | SourceError]:
        outcomes: list[Written | SourceError] = []
        stop: SourceError | None = None
        while len(outcomes) < len(calls):
            size = self.portal.writes
            part = keys[len(outcomes) : len(outcomes) + size]
            if stop is not None:
                outcomes += [stop] * len(part)
                continue
            try:
                answers = self.portal.batch(calls[len(outcomes) : len(outcomes) + size], write=True)
            except Uncertain as error:
                outcomes += [error] * len(part)
                self.portal.slower()
                continue
            except SourceError as error:
                stop = error
                outcomes += [error] * len(part)
                continue
            for key, answer in zip(part, answers, strict=True):
                try:
                    if answer.error is not None:
                        raise self.portal.error(f"{kind} {key}", answer.error, write=True)
                    outcomes.append(written(key, answer.value(dict[str, Any]) or {}))
                except SourceError as error:
                    outcomes.append(error)
        return outcomes

    def _update(self, kind: str, key: str) -> dict[str, Any]:
        if kind not in USER_FIELDS:
            raise Refused(f"{self.system}: a {kind} is not changed from here, only {', '.join(USER_FIELDS)}")
        return {"entityTypeId": ITEM_TYPES[kind], "id": int(key), "useOriginalUfNames": "Y"}

    def post(self, kind: str, key: str) -> None:
        """Raises Refused: nothing in a CRM is posted."""
        raise Refused(f"{self.system}: a {kind} has no posting step")

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Read back by key: deals and companies by id (with `updatedTime` and user fields), tasks by our key.

        2,500 ids or 50 tasks a request. Numbers are Decimal.
        """
        if kind == "task":
            return self._find_tasks(keys)
        if kind not in USER_FIELDS:
            raise Refused(
                f"{self.system}: a {kind} is not looked up here, only {', '.join(self.capabilities.writes)}"
            )
        listing = self.item_listing(kind, ["id", "title", "updatedTime", *self.user_fields_of(kind)])
        found: dict[str, Mapping[str, Any]] = {}
        parts = [list(keys[start : start + FIND_IDS]) for start in range(0, len(keys), FIND_IDS)]
        calls = [listing.query({"@id": part}) for part in parts]
        for start in range(0, len(calls), BATCH):
            for outcome in self.portal.ask(calls[start : start + BATCH]):
                items = outcome.value(dict[str, list[dict[str, Any]]]).get("items", [])
                found.update({str(item["id"]): item for item in items})
        return found

    def _find_tasks(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for start in range(0, len(keys), BATCH):
            part = list(keys[start : start + BATCH])
            asked = {"select": TASK_FIELDS, "order": {"ID": "asc"}}
            calls = [call("tasks.task.list", filter={"TAG": TASK_TAG + key}, **asked) for key in part]
            for key, outcome in zip(part, self.portal.ask(calls), strict=True):
                tasks = outcome.value(dict[str, Any]).get("tasks") or []
                ours = [task for task in tasks if _is_ours(task, key)]
                if ours:
                    found[key] = {**ours[0], **_as_written(ours[0])}
        return found


def _as_written(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task's fields by the names that tasks.task.add takes: the list answers `responsibleId`."""
    written = {name: task[listed] for name in TASK_FIELDS if (listed := _listed_name(name)) in task}
    linked = written.get("UF_CRM_TASK")
    if isinstance(linked, list) and len(linked) == 1:
        written["UF_CRM_TASK"] = linked[0]
    return written


def _listed_name(name: str) -> str:
    first, *rest = name.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


def _is_ours(task: Mapping[str, Any], key: str) -> bool:
    tags = task.get("tags") or {}
    titles = [tag.get("title") for tag in tags.values()] if isinstance(tags, Mapping) else list(tags)
    return task.get("xmlId") == key or TASK_TAG + key in titles
