"""Writing to an account: payment status and debt into leads and companies, tasks for managers, read back by key.

The account has neither versions nor idempotency: the last write wins, and a `request_id` only matches rows of one
answer. A write of 50 rows is one request. Whether a batch with a wrong row is refused whole is not documented:
the rows that the refusal does not name are sent again, tasks only after they were looked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from resources.connector import Refused, Rows, SourceError, Uncertain, Written
from resources.crm.amocrm.account import API, Account, Listing
from resources.crm.amocrm.entities import MAIN, VENDOR_FIELDS, Lift, own_fields
from resources.crm.amocrm.lists import by_key
from resources.crm.crm_source import CrmTarget
from resources.http import Answer, Verdict
from resources.parallel import in_order

WRITE_BATCH: Final = 50  # rows of one request, as the vendor recommends
WRITES_AT_ONCE: Final = 4
TASKS: Final = Listing("tasks", "tasks")
TASK_PAGES: Final = 40  # of the newest tasks that are looked through for our keys
MARK: Final = "sverka-"  # a task carries our key at the end of its text: nothing else of it can be searched
_MARKED: Final = re.compile(r"\s*\[sverka-([^\]\s]+)\]\s*$")
_NUMBERS: Final = ("entity_id", "responsible_user_id", "task_type_id", "duration")

Outcome = Written | SourceError


class Writer(CrmTarget):
    """The writing half of an account's connector; `AmoCRM` is the whole."""

    account: Account
    fields_written: Mapping[str, Sequence[str]]
    zone: tzinfo | None  # of a task's deadline; None: the account's own, asked for once
    _tasks: dict[str, str]  # our keys of tasks made here, and their numbers

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """Create a task (the only kind). Our key stands at the end of its text, by which `find` finds it.

        Raises Refused, Uncertain; there is no idempotency: probe with `find` before a resend.
        """
        return _sole(self.create_many(kind, [(key, body)]))

    def create_many(self, kind: str, rows: Rows) -> list[Outcome]:
        """See CreatesMany: 50 tasks a request."""
        if kind != "task":
            refusal = Refused(f"{self.system}: a {kind} is not created from here, only task")
            return [refusal for _ in rows]
        try:
            bodies = [(key, self._new_task(key, body)) for key, body in rows]
        except SourceError as error:
            return [error for _ in rows]
        return self._in_batches("POST", TASKS, bodies)

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        """Change the named fields of a deal or company. The account keeps no versions: the last write wins.

        The answer's `stamp` is that of our own change, ISO 8601 UTC, by which it is known when read again.
        """
        return _sole(self.update_many(kind, [(key, body)]))

    def update_many(self, kind: str, rows: Rows, versions: Sequence[str] = ()) -> list[Outcome]:
        """See UpdatesMany: 50 records a request, several under way; the last write wins."""
        if kind not in ("deal", "company"):
            refusal = Refused(f"{self.system}: a {kind} is not changed from here, only deal and company")
            return [refusal for _ in rows]
        bodies = [(key, self._changes(kind, key, body)) for key, body in rows]
        return self._in_batches("PATCH", MAIN[kind], bodies)

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Read back by key: deals and companies by id, with our custom fields at the top and the `stamp`; tasks by
        our key. 100 records a request. Numbers are Decimal. Raises SourceError."""
        if kind == "task":
            return self._find_tasks(keys)
        if kind not in ("deal", "company"):
            raise Refused(f"{self.system}: a {kind} is not looked up here, only deal, company and task")
        lift = Lift(moved=frozenset(own_fields(kind, self.fields_written.get(kind, ()))))
        found: dict[str, Mapping[str, Any]] = {}
        for rows in by_key(self.account, MAIN[kind], keys):
            for row in rows:
                body = _decode(lift(row))
                found[str(body["id"])] = _stamped(body)
        return found

    # ---- Bodies -------------------------------------------------------------------------------

    def _changes(self, kind: str, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        known = VENDOR_FIELDS[kind]
        fields = [
            {
                **({"field_id": int(name)} if name.isdigit() else {"field_code": name}),
                "values": None if value in (None, "") else [{"value": value}],
            }
            for name, value in body.items()
            if name not in known
        ]
        plain = {name: value for name, value in body.items() if name in known}
        return {"id": int(key), **plain, **({"custom_fields_values": fields} if fields else {})}

    def _new_task(self, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        task: dict[str, Any] = {"entity_type": "leads", **body}
        task["text"] = f"{body.get('text') or ''}\n[{MARK}{key}]"
        for name in _NUMBERS:
            if str(task.get(name, "")).isdigit():
                task[name] = int(task[name])
        until = task.get("complete_till")
        if isinstance(until, str) and not until.isdigit():
            at = datetime.fromisoformat(until)
            task["complete_till"] = int((at if at.tzinfo else at.replace(tzinfo=self.clock())).timestamp())
        return task

    def clock(self) -> tzinfo:
        """The time zone of the account, or the connection's; asked for once."""
        if self.zone is None:
            settings, _ = self.account.settings()
            said = (settings.get("_embedded") or {}).get("datetime_settings") or {}
            try:
                self.zone = ZoneInfo(str(said.get("timezone") or "UTC"))
            except (ZoneInfoNotFoundError, ValueError):
                self.zone = UTC
        return self.zone

    # ---- Requests -----------------------------------------------------------------------------

    def _in_batches(
        self, method: str, listing: Listing, rows: Sequence[tuple[str, dict[str, Any]]]
    ) -> list[Outcome]:
        parts = [rows[start : start + WRITE_BATCH] for start in range(0, len(rows), WRITE_BATCH)]
        answers = in_order(lambda part: self._send(method, listing, part), parts, WRITES_AT_ONCE)
        return [outcome for part in answers for outcome in part]

    def _send(
        self, method: str, listing: Listing, rows: Sequence[tuple[str, dict[str, Any]]]
    ) -> list[Outcome]:
        """Each row's outcome of one request, and of those that follow where it is refused for some of them."""
        refusals: list[Answer] = []

        def classify(answer: Answer) -> Verdict:
            verdict = self.account.client.classify(answer)
            if verdict.kind == "refused":
                refusals.append(answer)
            return verdict

        content = _encode([{**row, "request_id": str(place)} for place, (_, row) in enumerate(rows)])
        try:
            answer = self.account.client.request(
                method, API + listing.path, content=content, headers={"Content-Type": "application/json"},
                write=True, classify=classify,
            )  # fmt: skip
        except Refused as error:
            return self._without_refused(method, listing, rows, error, refusals[-1])
        except SourceError as error:
            return [error for _ in rows]
        return self._outcomes(method, listing, rows, answer)

    def _without_refused(
        self,
        method: str,
        listing: Listing,
        rows: Sequence[tuple[str, dict[str, Any]]],
        error: Refused,
        answer: Answer,
    ) -> list[Outcome]:
        """The named rows as Refused, each in its own words; the others sent again without them."""
        if len(rows) == 1:
            return [error]
        blamed = _blamed(answer, rows)
        outcomes: dict[int, Outcome] = {
            place: Refused(
                f"{self.system}: {_subject(listing, *rows[place])}: {text}; correct it in the account or in the "
                "mapping (a user who has left can be given nothing)",
                code=code,
            )
            for place, (text, code) in blamed.items()
        }
        rest = [place for place in range(len(rows)) if place not in outcomes]
        if method == "POST" and rest:  # perhaps they were created all the same
            try:
                there = self._find_tasks([rows[place][0] for place in rest])
            except SourceError as silent:
                unknown = Uncertain(f"{self.system}: it is not known which tasks were made ({silent})")
                return [outcomes.get(place, unknown) for place in range(len(rows))]
            for place in list(rest):
                if rows[place][0] in there:
                    outcomes[place] = Written(rows[place][0], there[rows[place][0]])
                    rest.remove(place)
        # Where no row was named, halves find the wrong one.
        halves = [rest] if blamed else [rest[: len(rest) // 2], rest[len(rest) // 2 :]]
        for half in halves:
            if half:
                sent = self._send(method, listing, [rows[place] for place in half])
                outcomes.update(zip(half, sent, strict=True))
        return [outcomes[place] for place in range(len(rows))]

    def _outcomes(
        self, method: str, listing: Listing, rows: Sequence[tuple[str, dict[str, Any]]], answer: Answer
    ) -> list[Outcome]:
        try:
            made = msgspec.json.decode(answer.content, type=_Made).embedded[listing.name]
        except (msgspec.DecodeError, KeyError):
            made = []
        by_place = {str(row.get("request_id")): row for row in made}
        by_id = {str(row.get("id")): row for row in made}
        outcomes: list[Outcome] = []
        for place, (key, _) in enumerate(rows):
            row = by_id.get(key) if method == "PATCH" else by_place.get(str(place))
            if row is None or not row.get("id"):
                outcomes.append(
                    Uncertain(
                        f"{self.system}: the answer of {listing.path} names no row for {key}; it is looked up"
                    )
                )
                continue
            if method == "POST":
                self._tasks[key] = str(row["id"])
            outcomes.append(Written(str(row["id"]), _stamped(row)))
        return outcomes

    def _find_tasks(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Tasks by our keys: those made here by their numbers, others among the newest of the account."""
        found: dict[str, Mapping[str, Any]] = {}
        numbers = [self._tasks[key] for key in keys if key in self._tasks]
        for rows in by_key(self.account, TASKS, numbers):
            self._keep_ours(rows, keys, found)
        absent = [key for key in keys if key not in found]
        if not absent:
            return found
        newest = self.account.pages(TASKS.asked({"order[id]": "desc"}))
        for got in islice(newest, TASK_PAGES):
            self._keep_ours(got.rows, keys, found)
            if len(found) == len(set(keys)) or not got.more:
                return found
        raise SourceError(
            f"{self.system}: {len(absent)} tasks are not among the newest {TASK_PAGES * TASKS.most}, and older ones "
            "cannot be searched by their text: it is not known whether they were made",
            retriable=True,
        )

    def _keep_ours(
        self, rows: Sequence[msgspec.Raw], keys: Sequence[str], found: dict[str, Mapping[str, Any]]
    ) -> None:
        for row in rows:
            task = _decode(row)
            match = _MARKED.search(str(task.get("text") or ""))
            if match is None or match[1] not in keys or match[1] in found:
                continue
            till = task.get("complete_till")
            if isinstance(till, int):
                local = datetime.fromtimestamp(till, self.clock())
                task["complete_till"] = local.strftime("%Y-%m-%dT%H:%M:%S")
            task["text"] = str(task["text"])[: match.start()]
            found[match[1]] = _stamped(task)


class _Made(msgspec.Struct, rename={"embedded": "_embedded"}):
    embedded: dict[str, list[dict[str, Any]]]


_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def _sole(outcomes: Sequence[Outcome]) -> Written:
    (outcome,) = outcomes
    if isinstance(outcome, SourceError):
        raise outcome
    return outcome


def _subject(listing: Listing, key: str, row: Mapping[str, Any]) -> str:
    """What a row is about, for a person: a task by the record that it stands at, since its key is ours."""
    if listing is not TASKS:
        return f"{listing.path} {key}"
    of = "company" if row.get("entity_type") == "companies" else "lead"
    return f"the task of {of} {row.get('entity_id')}"


def _stamped(row: Mapping[str, Any]) -> dict[str, Any]:
    at = row.get("updated_at")
    return {**row, "stamp": datetime.fromtimestamp(int(at), UTC).isoformat()} if at else dict(row)


def _blamed(answer: Answer, rows: Sequence[tuple[str, dict[str, Any]]]) -> dict[int, tuple[str, str]]:
    """The rows that a refusal names, by place: the vendor's words and code."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    said = said if isinstance(said, dict) else {}
    blamed: dict[int, tuple[str, str]] = {}
    for row in said.get("validation-errors") or ():
        errors = row.get("errors") or [{}]
        text = "; ".join(f"{e.get('path', '')}: {e.get('detail', '')}" for e in errors)
        if str(row.get("request_id", "")).isdigit() and int(row["request_id"]) < len(rows):
            blamed[int(row["request_id"])] = (text, str(errors[0].get("code", "")))
    errors = said.get("errors")
    for number, text in errors.items() if isinstance(errors, dict) else ():
        for place, (key, _) in enumerate(rows):
            if key == str(number):
                blamed[place] = (str(text), str(answer.status))
    return blamed
