"""Paths into a raw record: `title`, `fm[typeId=PHONE].value`, `"Ст. НДС"`, `/Date`, `@currency.Code`.

A path leads to one value as text. Blank text counts as no value.

    name            a key; in double quotes where it holds . [ ] or ", or begins with / or @
    name[2]         an element by its place, from 0
    name[k=v]       the first element whose k is v
    [k=v].name      the key, if the record's own k is v
    /path           under `each`: from the whole record, not from the element
    @join.path      from the joined record

Several values as one: "{ИНН}/{КПП}", no value where one of them is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mappings.quoting import literal
from mappings.template import parts

if TYPE_CHECKING:
    from mappings.schema import ReadRule

MAX_STEPS = 12

_STEP = re.compile(r'(?P<name>"(?:[^"]|"")*"|[^."\[\]]+)?(?P<filter>\[[^\]]*\])?')


class PathError(ValueError):
    """A path that cannot be read; says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One key of a path, and perhaps a place (from 0) or a condition (key, value) on what stands there."""

    name: str  # empty: the record itself
    index: int | None = None
    where: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """A path as read; `text` is what the file says."""

    steps: tuple[Step, ...]
    root: bool = False  # began with "/"
    join: str = ""  # the name after "@"
    text: str = ""

    @property
    def is_plain(self) -> bool:
        """Keys only: then plain operators of jsonb do, without the path language."""
        return all(step.index is None and step.where is None for step in self.steps)


def parse(text: str) -> Path:
    """Read a path. Raises PathError."""
    rest, root, join = text.strip(), False, ""
    if rest.startswith("/"):
        root, rest = True, rest[1:]
    elif rest.startswith("@"):
        join, dot, rest = rest[1:].partition(".")
        if not join or not dot:
            raise PathError(f"`{text}`: write @join.key")
    steps: list[Step] = []
    position = 0
    while position < len(rest):
        match = _STEP.match(rest, position)
        if match is None or match.end() == position or len(steps) == MAX_STEPS:
            raise PathError(
                f"`{text}` cannot be read as a path at `{rest[position:]}`; put odd names into quotes"
            )
        steps.append(_step(match, text, first=not steps))
        position = match.end()
        if position < len(rest):
            if rest[position] != "." or position + 1 == len(rest):
                raise PathError(
                    f"`{text}` cannot be read as a path at `{rest[position:]}`; put odd names into quotes"
                )
            position += 1
    if not steps:
        raise PathError("an empty path; name a key of the record")
    return Path(tuple(steps), root, join, text)


def _step(match: re.Match[str], text: str, *, first: bool) -> Step:
    name = match["name"] or ""
    if name.startswith('"'):
        name = name[1:-1].replace('""', '"')
    bracket = (match["filter"] or "")[1:-1].strip()
    if not name and (not first or not bracket):
        raise PathError(f"`{text}`: a key is missing before `[`")
    if not match["filter"]:
        return Step(name.strip())
    if bracket.isdigit():
        return Step(name, index=int(bracket))
    key, equals, value = bracket.partition("=")
    if not equals or not key.strip():
        raise PathError(f"`{text}`: in brackets stands a place (0) or a condition (key=value)")
    return Step(name.strip(), where=(key.strip(), value.strip()))


def json_text(path: Path, record: str) -> str:
    """SQL: the value at the path of the jsonb expression `record`, as text, untrimmed."""
    if path.is_plain:
        *heads, last = [literal(step.name) for step in path.steps]
        return record + "".join(f" -> {head}" for head in heads) + f" ->> {last}"
    return f"jsonb_path_query_first({record}, {literal(json_path(path))}) #>> '{{}}'"


def parse_all(text: str) -> list[Path]:
    """Every path of a text: itself, or those in its braces. Raises PathError."""
    return [parse(part) for part, named in _parts(text) if named]


def given(text: str, record: Callable[[Path], str] | str, none: Sequence[str] = ()) -> str:
    """SQL: the value of a path, or of a text with paths in braces; null where blank or one of `none`.

    `record` is the jsonb that paths start from, or gives it for a path.
    """
    pieces = []
    for part, named in _parts(text):
        if not named:
            pieces.append(literal(part))
            continue
        path = parse(part)
        expression = json_text(path, record if isinstance(record, str) else record(path))
        expression = f"nullif(btrim({expression}, {_BLANK}), '')"
        for value in none:
            expression = f"nullif({expression}, {literal(value)})"
        pieces.append(expression)
    return pieces[0] if len(pieces) == 1 else f"({' || '.join(pieces)})"


def _parts(text: str) -> list[tuple[str, bool]]:
    if "{" not in text:
        return [(text, True)]
    try:
        return parts(text)
    except ValueError as error:
        raise PathError(str(error)) from None


def payload_keys(rule: ReadRule) -> Iterator[tuple[str, str]]:
    """Every key of a payload that a read looks at, with the entity whose payload it is of."""
    own = rule.from_ or ""
    texts: list[str] = [text for field in rule.fields.values() for text in field.from_]
    conditions = [c for ignored in rule.ignore for c in ignored.when]
    for field in (*rule.fields.values(), *filter(None, (rule.key, rule.deleted))):
        conditions += [condition for choice in field.choose for condition in choice.when]
    texts += [text for condition in conditions for text in condition.from_]
    for part in (rule.key, rule.deleted, rule.parent):
        texts += part.from_ if part is not None else ()
    for text in texts:
        for path in parse_all(text):
            if path.join:
                yield from ((rule.join[path.join].entity, name) for name in _heads(path))
            elif rule.each is None or path.root:  # else it is a key of the array's element
                yield from ((own, name) for name in _heads(path))
    for join in rule.join.values():
        if rule.each is None:
            yield from ((own, name) for path in parse_all(join.ours) for name in _heads(path))
        for text in (*join.on, *join.where):
            yield from ((join.entity, name) for path in parse_all(text) for name in _heads(path))
    if rule.each is not None:
        yield from ((own, name) for name in _heads(parse(rule.each)))


def _heads(path: Path) -> Iterator[str]:
    """The keys of the record itself that a path needs: `[closed=Y].closedate` needs two."""
    first, *rest = path.steps
    if first.name:
        yield first.name
    else:  # a condition on the record itself
        yield first.where[0] if first.where else ""
        yield from (step.name for step in rest[:1])


def json_path(path: Path) -> str:
    """The path in PostgreSQL's jsonpath language (lax)."""
    out = "$"
    for step in path.steps:
        if step.name:
            out += "." + json.dumps(step.name, ensure_ascii=False)
        if step.index is not None:
            out += f"[{step.index}]"
        elif step.where is not None:
            key, value = step.where
            member = "@." + json.dumps(key, ensure_ascii=False)
            terms = [f"{member} == {json.dumps(value, ensure_ascii=False)}"]
            if re.fullmatch(r"-?(0|[1-9]\d{0,17})(\.\d{1,9})?", value):
                terms.append(f"{member} == {value}")
            if value in ("true", "false"):
                terms.append(f"{member} == {value}")
            out += f"{'[*]' if step.name else ''} ? ({' || '.join(terms)})"
    return out


_BLANK = "U&' \\0009\\000A\\000D\\00A0\\202F\\FEFF'"
