"""The resource part of an address: `Document_X(guid'..')/Post`, `AccountingRegister_Y/Balance(Period=..)`.

Public clients leave the quotes inside a quoted Condition single (`AccountCondition='Account/Code eq '51''`)
or double them; both are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.onec.error import BAD_URL, KEY_MISSING, NO_TYPE, PARSE, ODataError
from sandbox.onec.model import EntitySet
from sandbox.onec.values import DATETIME, GUID

_SEGMENT = re.compile(r"([^(]*)(?:\((.*)\))?$", re.S)
_ARGUMENT = re.compile(r"(?:^|,)\s*([^\W\d]\w*)\s*=\s*")
_LITERAL = re.compile(r"(guid|datetime)?'(.*)'$", re.S)


@dataclass(frozen=True, slots=True)
class Segment:
    name: str
    arguments: str | None  # text between the brackets, None without brackets


@dataclass(frozen=True, slots=True)
class Address:
    entity: EntitySet
    key: dict[str, str] | None  # key properties by name, None for the whole set
    rest: tuple[Segment, ...]  # `$count`, `Post`, a virtual table, property steps


def read_address(path: str, sets: Mapping[str, EntitySet]) -> Address:
    """Raises ODataError: 8 for an unknown set, 6 for what is no address, 7 for an incomplete key."""
    segments = [_segment(part) for part in _split(path.strip("/"))]
    first = segments[0]
    entity = sets.get(first.name)
    if entity is None:
        raise ODataError(NO_TYPE, f'Тип сущности "{first.name}" не найден.')
    key = None if first.arguments is None else _key(entity, first.arguments)
    return Address(entity, key, tuple(segments[1:]))


def arguments(text: str | None) -> dict[str, str]:
    """Named arguments of a function: their text, outer quotes of strings taken off."""
    found: dict[str, str] = {}
    marks = list(_ARGUMENT.finditer(text or ""))
    # A name followed by `=` inside a quoted condition is no argument: conditions use `eq`.
    ends = [mark.start() for mark in marks[1:]] + [len(text or "")]
    for mark, end in zip(marks, ends, strict=bool(marks)):
        found[mark[1]] = unquoted((text or "")[mark.end() : end].strip())
    return found


def unquoted(text: str) -> str:
    """A string argument without its outer quotes; other literals (datetime'..') stay as they are."""
    if len(text) >= 2 and text[0] == text[-1] == "'":
        inner = text[1:-1]
        return inner.replace("''", "'") if "''" in inner and not re.search(r"(?<!')'(?!')", inner) else inner
    return text


def _split(path: str) -> list[str]:
    """Segments between slashes outside of brackets."""
    if "/" not in path:
        return [path]
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(path):
        if sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
        elif sign == "/" and depth == 0:
            parts.append(path[start:place])
            start = place + 1
    parts.append(path[start:])
    return [part for part in parts if part] or [""]


def _segment(part: str) -> Segment:
    match = _SEGMENT.match(part)
    if match is None:
        raise ODataError(BAD_URL, f"Неверный URL: {part[:80]}")
    return Segment(match[1], match[2])


def _key(entity: EntitySet, text: str) -> dict[str, str]:
    named = arguments(text)
    if not named:
        name = entity.key[0]
        if len(entity.key) > 1 and name != "Recorder":
            raise ODataError(KEY_MISSING, "Не хватает элемента ключа сущности.")
        named = {name: text.strip()}
    found: dict[str, str] = {}
    for name in entity.key:
        if name in named:
            found[name] = _literal(named[name])
        elif name != "Recorder_Type":
            raise ODataError(KEY_MISSING, f'Не хватает элемента ключа сущности: "{name}".')
    return found


def _literal(text: str) -> str:
    match = _LITERAL.match(text)
    if match is None:
        return text
    if match[1] == "guid" and not GUID.fullmatch(match[2]):
        raise ODataError(PARSE, f"Не удалось разобрать строку: {text[:60]}")
    if match[1] == "datetime" and not DATETIME.fullmatch(match[2]):
        raise ODataError(PARSE, f"Не удалось разобрать строку: {text[:60]}")
    return match[2]
