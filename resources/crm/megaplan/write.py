"""Writing to an account: payment status and debt into deals and companies, tasks for managers, read back by key.

Megaplan has neither versions nor idempotency: the last write wins. Calls are sent many in one request (`bulk`), each
with its own outcome. Of a task only name and text can be searched, so our key stands at the end of its text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from resources.connector import Refused, Rows, SourceError, Uncertain, Written
from resources.crm.crm_source import CrmTarget
from resources.crm.megaplan.account import LINKS, PAUSE, Account, Envelope
from resources.crm.megaplan.entities import LISTINGS, Listing
from resources.crm.megaplan.lists import Lists, day_of, filtered
from resources.crm.rows import moment

WRITE_BATCH: Final = 25  # calls of one request; how many there may be is not documented
SAMPLE: Final = 100  # records by which the type of a custom field is told
FIND_TASKS: Final = 15  # keys in one search: the whole query stands in the address
TASK_PAGES: Final = 20  # of tasks that are looked through where the account passes over the search
MARK: Final = "sverka-"
_MARKED: Final = re.compile(r"\s*\[sverka-([^\]\s]+)\]\s*$")
_TAG: Final = re.compile(r"<(?:br|/p|/div)[^>]*>", re.IGNORECASE)
_KINDS: Final = {"deal": "Deal", "company": "ContractorCompany"}
_TASKS: Final = Listing(
    "task",
    "task",
    ("Task",),
    ("name", "statement", "responsible", "deadline", "deals", "contractor"),
    filter="TaskFilter",
)

Outcome = Written | SourceError
Body = Mapping[str, Any]


class Writer(CrmTarget):
    """The writing half of an account's connector; `Megaplan` is the whole."""

    account: Account
    lists: Lists
    fields_written: Mapping[str, Sequence[str]]
    _money: dict[str, dict[str, bool]]  # by kind and field: whether it holds money, as far as it is known
    _base: str  # the account's own currency, once asked for
    _made: dict[str, str]  # our keys of tasks made here, and their ids

    def create(self, kind: str, key: str, body: Body) -> Written:
        """Create a task (the only kind). Our key stands at the end of its text, by which `find` finds it.

        Raises Refused, Uncertain; there is no idempotency: probe with `find` before a resend.
        """
        return _sole(self.create_many(kind, [(key, body)]))

    def create_many(self, kind: str, rows: Rows) -> list[Outcome]:
        """See CreatesMany: 25 tasks a request."""
        if kind != "task":
            refusal = Refused(f"{self.system}: a {kind} is not created from here, only task")
            return [refusal for _ in rows]
        outcomes: list[Outcome] = []
        for part in _parts(rows, WRITE_BATCH):
            sent = self._send(kind, part, [("POST", "task", _task(key, body)) for key, body in part])
            for (key, _), outcome in zip(part, sent, strict=True):
                if isinstance(outcome, Written):
                    self._made[key] = outcome.key
            outcomes += sent
        return outcomes

    def update(self, kind: str, key: str, body: Body, version: str | None = None) -> Written:
        """Change the named fields of a deal or company. The account keeps no versions: the last write wins.

        The answer's `stamp` is that of our own change, ISO 8601 UTC, by which it is known when read again.
        """
        return _sole(self.update_many(kind, [(key, body)]))

    def update_many(self, kind: str, rows: Rows, versions: Sequence[str] = ()) -> list[Outcome]:
        """See UpdatesMany: 25 records a request, and one that reads the currencies of their deals; the last write wins."""
        if kind not in _KINDS:
            refusal = Refused(
                f"{self.system}: a {kind} is not changed from here, only {' and '.join(_KINDS)}"
            )
            return [refusal for _ in rows]
        outcomes: list[Outcome] = []
        for part in _parts(rows, WRITE_BATCH):
            try:
                outcomes += self._update_part(kind, part)
            except SourceError as error:  # nothing of this part was sent
                outcomes += [error] * len(part)
        return outcomes

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Body]:
        """Read back by key: deals and companies by id, with sums of money as numbers and the `stamp`; tasks by our key,
        in the words that they were written in. 100 records or 15 tasks a request. Numbers are Decimal.

        Raises SourceError, also where it cannot be told whether a task is there.
        """
        if kind == "task":
            return self._find_tasks(list(dict.fromkeys(keys)))
        if kind not in _KINDS:
            raise Refused(f"{self.system}: a {kind} is not looked up here, only deal, company and task")
        found: dict[str, Body] = {}
        for start in range(0, len(keys), LINKS):
            for row in self.account.by_links(_KINDS[kind], list(keys[start : start + LINKS])):
                body = _decode(row)
                if not body.get("isDropped"):
                    found[str(body["id"])] = _plain(body)
        return found

    # ---- Changes ------------------------------------------------------------------------------

    def _update_part(self, kind: str, rows: Rows) -> list[Outcome]:
        numbers = dict.fromkeys(name for _, body in rows for name, value in body.items() if _is_number(value))
        money = self._holding_money(kind, list(numbers)) if numbers else {}
        currencies = self._currencies(kind, [key for key, _ in rows]) if any(money.values()) else {}
        path = LISTINGS[kind].path

        def calls(rows: Rows, money: Mapping[str, bool]) -> list[tuple[str, str, Any]]:
            return [
                ("POST", f"{path}/{key}", self._changes(kind, body, money, currencies.get(key)))
                for key, body in rows
            ]

        outcomes = self._send(kind, rows, calls(rows, money))
        doubtful = {name for name in numbers if name not in self._money.get(kind, {})}
        if doubtful and all(isinstance(outcome, Refused) for outcome in outcomes):
            # The field was empty everywhere: it was taken for one of money, and is perhaps one of numbers.
            plain = {**money, **dict.fromkeys(doubtful, False)}
            again = self._send(kind, rows, calls(rows, plain))
            if any(isinstance(outcome, Written) for outcome in again):
                self._money.setdefault(kind, {}).update(dict.fromkeys(doubtful, False))
            if not all(isinstance(outcome, Refused) for outcome in again):
                return again
        return outcomes

    def _changes(
        self, kind: str, body: Body, money: Mapping[str, bool], currency: str | None
    ) -> dict[str, Any]:
        changed: dict[str, Any] = {"contentType": _KINDS[kind]}
        for name, value in body.items():
            if money.get(name) and _is_number(value):
                changed[name] = {
                    "contentType": "Money",
                    "currency": currency or self._base_currency(),
                    "value": value,
                }
            else:
                changed[name] = value
        return changed

    def _holding_money(self, kind: str, names: Sequence[str]) -> dict[str, bool]:
        """Which of the fields hold money, told by the values that records have; one without any is taken for money."""
        known = self._money.setdefault(kind, {})
        unknown = [name for name in names if name not in known]
        if unknown:
            query = {"limit": SAMPLE, "fields": unknown, "onlyRequestedFields": True}
            try:
                rows = [_decode(row) for row in self.account.page(LISTINGS[kind], query).rows]
            except Refused:
                rows = []  # a field is not there: the write will tell
            for name in unknown:
                value = next((row[name] for row in rows if row.get(name) not in (None, "")), None)
                if value is not None:
                    known[name] = isinstance(value, Mapping) and value.get("contentType") == "Money"
        return {name: known.get(name, True) for name in names}

    def _currencies(self, kind: str, keys: Sequence[str]) -> dict[str, str]:
        """The currency of each deal: that of its sum. Companies owe in the account's own."""
        if kind != "deal":
            return {}
        rows = (_decode(row) for row in self.account.by_links("Deal", list(keys)))
        return {str(row["id"]): str((row.get("price") or {}).get("currency") or "") for row in rows}

    def _base_currency(self) -> str:
        if not self._base:
            for row in self.account.page(LISTINGS["currency"], {}).rows:
                currency = _decode(row)
                if currency.get("isBase"):
                    self._base = str(currency.get("abbreviation") or currency.get("name"))
        if not self._base:
            raise SourceError(
                f"{self.system}: no currency of the account is its own (isBase); choose one in Megaplan's settings"
            )
        return self._base

    # ---- Requests -----------------------------------------------------------------------------

    def _send(self, kind: str, rows: Rows, calls: Sequence[tuple[str, str, Any]]) -> list[Outcome]:
        try:
            answers = self.account.bulk(calls, write=True)
        except SourceError as error:
            return [error for _ in rows]
        return [self._outcome(kind, key, said) for (key, _), said in zip(rows, answers, strict=True)]

    def _outcome(self, kind: str, key: str, said: Envelope) -> Outcome:
        what = f"{self.system}: {kind} {key}: status {said.status}: {said.words or 'no words'}"
        if said.status == 200:
            try:
                body = _decode(said.data)
            except msgspec.DecodeError:
                body = {}
            if not body.get("id"):
                return Uncertain(
                    f"{self.system}: the answer to {kind} {key} names no record; it is looked up"
                )
            return Written(str(body["id"]), _plain(body))
        if said.status == 429:
            if self.account.client.budget is not None:
                self.account.client.budget.block(PAUSE)
            return SourceError(f"{what}; the account's limit of requests", retriable=True)
        if said.status == 401:
            return SourceError(
                f"{what}; check username and password, or application_token, in the connection"
            )
        if said.status >= 500 or said.status == 0:
            return Uncertain(f"{what}; it is looked up before anything is sent again")
        remedy = "; give this user the right to change it" if said.status == 403 else ""
        return Refused(f"{what}{remedy}", code=str(said.status))

    # ---- Tasks --------------------------------------------------------------------------------

    def _find_tasks(self, keys: Sequence[str]) -> dict[str, Body]:
        """Tasks by our keys: those made here by their ids, others by the end of their text."""
        found: dict[str, Body] = {}
        made = [self._made[key] for key in keys if key in self._made]
        for part in _parts(made, LINKS):
            _keep_ours(self.account.by_links("Task", part), keys, found)
        absent = [key for key in keys if key not in found]
        for part in _parts(absent, FIND_TASKS):
            for rows in self._searched(part):
                _keep_ours(rows, keys, found)
                if all(key in found for key in part):
                    break
        return found

    def _searched(self, keys: Sequence[str]) -> Iterator[list[msgspec.Raw]]:
        terms = [
            {
                "contentType": "FilterTermString",
                "field": "statement",
                "comparison": "contains",
                "value": MARK + key,
            }
            for key in keys
        ]
        query = {
            "filter": filtered("TaskFilter", *terms, join="or"),
            "fields": list(_TASKS.fields),
            "onlyRequestedFields": True,
        }
        for number, got in enumerate(self.account.pages(_TASKS, query), start=1):
            yield got.rows
            if got.more and number >= TASK_PAGES:
                raise SourceError(
                    f"{self.system}: the search for our tasks is passed over, and more than {number} pages of tasks are "
                    "there: it is not known whether they were made",
                    retriable=True,
                )


def _task(key: str, body: Body) -> dict[str, Any]:
    """A task as the vendor takes it; ours names records by id and the day as ISO 8601 text."""
    task: dict[str, Any] = {"contentType": "Task", "isUrgent": False, "isTemplate": False, **body}
    task["statement"] = f"{body.get('statement') or ''}\n[{MARK}{key}]"
    if task.get("responsible"):
        task["responsible"] = {"contentType": "Employee", "id": str(task["responsible"])}
    if task.get("deals"):
        task["deals"] = [{"contentType": "Deal", "id": str(task["deals"])}]
    if task.get("contractor"):
        task["contractor"] = {"contentType": _KINDS["company"], "id": str(task["contractor"])}
    if task.get("deadline"):
        task["deadline"] = day_of(datetime.fromisoformat(str(task["deadline"])))
    return task


def _keep_ours(rows: Sequence[msgspec.Raw], keys: Sequence[str], found: dict[str, Body]) -> None:
    """Tasks that bear one of the keys, with their fields in the words in which we wrote them."""
    for row in rows:
        task = _plain(_decode(row))
        text = html.unescape(re.sub(r"<[^>]*>", "", _TAG.sub("\n", str(task.get("statement") or ""))))
        match = _MARKED.search(text)
        if match is None or match[1] not in keys or match[1] in found:
            continue
        task["statement"] = text[: match.start()]
        task["responsible"] = str((task.get("responsible") or {}).get("id", ""))
        deals = [str(deal.get("id")) for deal in task.get("deals") or ()]
        task["deals"] = deals[0] if len(deals) == 1 else deals
        task["contractor"] = str((task.get("contractor") or {}).get("id", ""))
        day = task.get("deadline") or {}
        if day.get("contentType") == "DateOnly":
            task["deadline"] = date(day["year"], day["month"] + 1, day["day"]).isoformat()
        elif day.get("value"):
            task["deadline"] = str(day["value"])[:10]
        found[match[1]] = task


_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def _sole(outcomes: Sequence[Outcome]) -> Written:
    (outcome,) = outcomes
    if isinstance(outcome, SourceError):
        raise outcome
    return outcome


def _parts(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _plain(body: Body) -> dict[str, Any]:
    """A record with its sums of money as numbers, and the time of its last change as `stamp`."""
    plain = {
        name: value.get("value")
        if isinstance(value, Mapping) and value.get("contentType") == "Money"
        else value
        for name, value in body.items()
    }
    changed = body.get("timeUpdated")
    at = moment(changed.get("value")) if isinstance(changed, Mapping) else None
    return {**plain, "stamp": at.astimezone(UTC).isoformat()} if at is not None else plain
