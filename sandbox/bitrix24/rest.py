"""How the portal is spoken to: parameters in four spellings, answers, errors, batches and limits.

Sources: the vendor's pages batch.md, limits.md, system-errors.md and data-encoding.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from sandbox.bitrix24.table import decode, encode
from sandbox.company.model import MOSCOW

MAX_BATCH = 50
BUCKET_LEAK, BUCKET_THRESHOLD = 2.0, 50.0
OPERATING_LIMIT = 480.0
OPERATING_BASKETS, BASKET_SECONDS = 10, 60
COSTS = {"crm.item.update": 0.4, "crm.item.add": 0.5, "crm.item.list": 0.05, "tasks.task.add": 0.9}
"""Seconds that one call charges to the operating budget; DEFAULT_COST for the others."""
DEFAULT_COST = 0.02
_REFERENCE = re.compile(r"\$result((?:\[[^\[\]]+\])+)")


class RestError(Exception):
    """What the portal refuses, with its own code and words."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.code = code
        self.description = description

    def body(self) -> dict[str, str]:
        return {"error": self.code, "error_description": self.description}


@dataclass
class Answer:
    """What a method says. Rows are JSON bytes already; `wrap` is the key they stand under ('' for a list)."""

    value: Any = None
    rows: Sequence[bytes] | None = None
    wrap: str = ""
    total: int | None = None
    next: int | None = None

    def result(self) -> tuple[bytes, ...]:
        """The JSON text in pieces, to be joined once."""
        if self.rows is None:
            return (encode(self.value),)
        if not self.wrap:
            return (b"[", b",".join(self.rows), b"]")
        return (b'{"', self.wrap.encode(), b'":[', b",".join(self.rows), b"]}")

    def at(self, path: Sequence[str]) -> Any:
        """A value inside the result, or None when it is not there."""
        if self.rows is not None:
            keys = list(path)
            if self.wrap and (not keys or keys.pop(0) != self.wrap):
                return None
            if not keys or not keys[0].isdigit() or int(keys[0]) >= len(self.rows):
                return None
            return _walk(decode(self.rows[int(keys[0])]), keys[1:])
        return _walk(self.value, path)


Pieces = tuple[bytes, ...]
Method = Callable[[dict[str, Any]], Answer]


@dataclass
class Limits:
    """The portal's leaky bucket and each method's operating budget. `enforced=False` only reports."""

    enforced: bool = True
    clock: Callable[[], float] = time.time
    _level: float = 0.0
    _leaked_at: float = 0.0
    _baskets: dict[str, dict[int, list[float]]] = field(default_factory=dict)

    def knock(self) -> None:
        """Count one HTTP request. Raises 503 QUERY_LIMIT_EXCEEDED when the bucket is full."""
        at = self.clock()
        self._level = max(0.0, self._level - (at - self._leaked_at) * BUCKET_LEAK)
        self._leaked_at = at
        if self.enforced and self._level >= BUCKET_THRESHOLD:
            raise too_many_requests()
        self._level += 1

    def admit(self, method: str) -> None:
        """Raises 429 OPERATION_TIME_LIMIT when the method has used up its budget."""
        if self.enforced and self.operating(method) > OPERATING_LIMIT:
            raise RestError(429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit")

    def charge(self, method: str) -> None:
        at = self.clock()
        baskets = self._baskets.setdefault(method, {})
        minute = int(at // BASKET_SECONDS)
        basket = baskets.setdefault(minute, [at, 0.0])
        basket[1] += COSTS.get(method, DEFAULT_COST)

    def operating(self, method: str) -> float:
        baskets = self._baskets.get(method, {})
        oldest = self.clock() - OPERATING_BASKETS * BASKET_SECONDS
        for minute in [m for m, (begun, _) in baskets.items() if begun <= oldest]:
            del baskets[minute]
        return sum(used for _, used in baskets.values())

    def reset_at(self, method: str) -> int:
        baskets = self._baskets.get(method)
        begun = min(b for b, _ in baskets.values()) if baskets else self.clock()
        return int(begun) + OPERATING_BASKETS * BASKET_SECONDS

    def time_block(self, method: str, started: float) -> dict[str, Any]:
        finished = self.clock()
        return {
            "start": started,
            "finish": finished,
            "duration": finished - started,
            "processing": finished - started,
            "date_start": datetime.fromtimestamp(int(started), MOSCOW).isoformat(),
            "date_finish": datetime.fromtimestamp(int(finished), MOSCOW).isoformat(),
            "operating_reset_at": self.reset_at(method),
            "operating": self.operating(method),
        }


@dataclass
class Rest:
    """Calls methods by name and words the answers."""

    methods: Mapping[str, Method]
    limits: Limits

    def answer(self, name: str, params: dict[str, Any]) -> bytes:
        """The body of a successful answer. Raises RestError."""
        started = self.limits.clock()
        if name == "batch":
            body = self._batch(params)
            block = self.limits.time_block("batch", started)
            return b"".join((b'{"result":', *body, b',"time":', encode(block), b"}"))
        answer = self.call(name, params)
        parts = [b'{"result":', *answer.result()]
        if answer.next is not None:
            parts.append(b',"next":%d' % answer.next)
        if answer.total is not None:
            parts.append(b',"total":%d' % answer.total)
        return b"".join((*parts, b',"time":', encode(self.limits.time_block(name, started)), b"}"))

    def call(self, name: str, params: dict[str, Any]) -> Answer:
        method = self.methods.get(name)
        if method is None:
            raise RestError(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
        self.limits.admit(name)
        try:
            return method(params)
        finally:
            self.limits.charge(name)

    def _batch(self, params: dict[str, Any]) -> list[bytes]:
        commands = params.get("cmd") or {}
        if isinstance(commands, list):
            commands = {str(place): command for place, command in enumerate(commands)}
        halt = str(params.get("halt", "")).lower() in ("1", "true", "y")
        done: dict[str, Answer] = {}
        results: dict[str, Pieces] = {}
        errors: dict[str, Pieces] = {}
        totals: dict[str, Pieces] = {}
        following: dict[str, Pieces] = {}
        times: dict[str, Pieces] = {}
        for place, (key, command) in enumerate(commands.items()):
            started = self.limits.clock()
            try:
                if place >= MAX_BATCH:
                    raise RestError(400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
                name, arguments = _read_command(command, done)
                if name == "batch":
                    raise RestError(
                        405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage"
                    )
                answer = self.call(name, arguments)
            except RestError as error:
                errors[key] = (encode(error.body()),)
                if halt:
                    break
                continue
            done[key] = answer
            results[key] = answer.result()
            if answer.total is not None:
                totals[key] = (b"%d" % answer.total,)
            if answer.next is not None:
                following[key] = (b"%d" % answer.next,)
            times[key] = (encode(self.limits.time_block(name, started)),)
        named = (
            (b'{"result":', results),
            (b',"result_error":', errors),
            (b',"result_total":', totals),
            (b',"result_next":', following),
            (b',"result_time":', times),
        )
        return [piece for name_, parts in named for piece in (name_, *php_array(parts))] + [b"}"]


def too_many_requests() -> RestError:
    return RestError(503, "QUERY_LIMIT_EXCEEDED", "Too many requests")


def wrong_secret() -> RestError:
    return RestError(401, "NO_AUTH_FOUND", "Wrong authorization data")


def php_array(parts: Mapping[str, Pieces]) -> list[bytes]:
    """What PHP makes of an array: a list when the keys are 0, 1, 2 ... or none, else an object."""
    pieces: list[bytes] = []
    listed = all(key == str(place) for place, key in enumerate(parts))
    for key, value in parts.items():
        pieces += (b",",) if pieces else ()
        pieces += value if listed else (encode(key), b":", *value)
    return [b"[", *pieces, b"]"] if listed else [b"{", *pieces, b"}"]


def parse_query(text: str) -> dict[str, Any]:
    """PHP's reading of a query string: `filter[>id]=5&select[]=title` -> nested dictionaries and lists."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, bracket, rest = name.partition("[")
        keys = [head, *(bracket + rest).replace("][", "\0").strip("[]").split("\0")] if bracket else [head]
        here = root
        for key, following in zip(keys, [*keys[1:], None], strict=True):
            key = key if key != "" else str(len(here))
            if following is None:
                here[key] = value
            else:
                inner = here.get(key)
                if not isinstance(inner, dict):
                    inner = here[key] = {}
                here = inner
    return {key: _listed(value) for key, value in root.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inside = {key: _listed(item) for key, item in value.items()}
    if inside and all(key == str(place) for place, key in enumerate(inside)):
        return list(inside.values())
    return inside


def _read_command(command: Any, done: Mapping[str, Answer]) -> tuple[str, dict[str, Any]]:
    if isinstance(command, dict):
        name, arguments = str(command.get("method", "")), command.get("params") or {}
    else:
        name, _, query = str(command).partition("?")
        arguments = parse_query(query)
    return method_name(name), {key: _resolve(value, done) for key, value in arguments.items()}


def method_name(text: str) -> str:
    return text.strip("/").lower().removesuffix(".json")


def _resolve(value: Any, done: Mapping[str, Answer]) -> Any:
    """Put earlier results in the place of `$result[key][field]`. What is not there becomes empty."""
    if isinstance(value, dict):
        return {key: _resolve(item, done) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, done) for item in value]
    if not isinstance(value, str) or "$result" not in value:
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        found = _look_up(whole.group(1), done)
        return "" if found is None else found
    return _REFERENCE.sub(
        lambda m: "" if (found := _look_up(m.group(1), done)) is None else str(found), value
    )


def _look_up(path: str, done: Mapping[str, Answer]) -> Any:
    key, *rest = path[1:-1].split("][")
    return done[key].at(rest) if key in done else None


def _walk(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
