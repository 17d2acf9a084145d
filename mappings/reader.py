"""Mapping files off the disk: YAML with line numbers, `${VAR}` in `connection`, errors with place and remedy.

The YAML is read as people mean it: `NO` is Norway and `0123` a text, not false and 83; numbers with a
point are decimals; a key given twice is an error.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from mappings.schema import SystemFile

MAX_DEPTH = 30
MAX_FILE_BYTES = 2_000_000
TOO_DEEP = "nested too deeply. Write it flatter"
PROJECT = Path(__file__).resolve().parents[1]
SUFFIXES = (".yaml", ".yml")

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})\.[0-9]{1,30}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in one place. `message` ends with the remedy."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class MappingError(Exception):
    """The mapping files of a folder cannot be used; `problems` lists everything found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Source:
    """A file as read: its text, its YAML nodes (for line numbers) and its values."""

    path: Path
    text: str
    root: yaml.Node
    values: Any

    @property
    def name(self) -> str:
        """The path as people know it."""
        return shown(self.path)

    def line(self, *place: str | int) -> int:
        """The line of the deepest part of `place` that the file has, from 1."""
        node, line = self.root, self.root.start_mark.line + 1
        for part in place:
            if isinstance(node, yaml.MappingNode):
                found = next((p for p in node.value if p[0].value == str(part)), None)
                if found is None:
                    if isinstance(part, int):
                        continue  # one item where a list is also allowed
                    break
                line, node = found[0].start_mark.line + 1, found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            else:
                break
        return line

    def problem(self, message: str, *place: str | int) -> Problem:
        """A problem of this file at the line of a part of it."""
        return Problem(self.name, self.line(*place), message)

    def kept(self) -> str:
        """The text without the values of `connection`: they may hold what nobody should read."""
        if isinstance(self.root, yaml.MappingNode):
            for key, value in self.root.value:
                if key.value == "connection":
                    head, tail = self.text[: value.start_mark.index], self.text[value.end_mark.index :]
                    return f"{head}{{}}  # not kept\n{tail}"
        return self.text


def shown(path: Path) -> str:
    """The path as people know it: from the project's folder where it lies in it."""
    whole = Path(os.path.realpath(path))  # which a link to itself does not trouble
    return str(whole.relative_to(PROJECT)) if whole.is_relative_to(PROJECT) else str(path)


def read_file(path: Path) -> Source:
    """Read one file. Raises MappingError: unreadable, broken YAML, a key given twice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if len(text) > MAX_FILE_BYTES:
            raise ValueError(f"is larger than {MAX_FILE_BYTES} characters")
        if (line := _too_deep(text)) is not None:
            raise MappingError([Problem(shown(path), line, TOO_DEEP)])
        root = _composed(text)
    except (OSError, UnicodeError, ValueError) as error:
        raise MappingError(
            [Problem(shown(path), 1, f"cannot be read ({error}). Save it as UTF-8 text")]
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        why = " ".join(part for part in (error.context, error.problem) if part)
        raise MappingError(
            [
                Problem(
                    str(path),
                    line,
                    f"no valid YAML: {why}. Look at the indent, the colon and the quotes there",
                )
            ]
        ) from error
    except yaml.YAMLError as error:
        raise MappingError(
            [Problem(shown(path), 1, f"no valid YAML: {error}. Save it as UTF-8 text")]
        ) from error
    if not isinstance(root, yaml.MappingNode):
        raise MappingError([Problem(shown(path), 1, "is empty or no mapping. Begin with `system: name`")])
    problems: list[Problem] = []
    values = _value(root, shown(path), problems, 0)
    if problems:
        raise MappingError(problems)
    return Source(path, text, root, values)


def expand(source: Source, environ: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    """The values of a file with `${VAR}` and `${VAR:-default}` of its connection filled in."""
    problems: list[Problem] = []

    def fill(value: Any, place: tuple[str | int, ...]) -> Any:
        if isinstance(value, dict):
            return {key: fill(inner, (*place, str(key))) for key, inner in value.items()}
        if isinstance(value, list):
            return [fill(inner, (*place, i)) for i, inner in enumerate(value)]
        return _VARIABLE.sub(lambda match: one(match, place), value) if isinstance(value, str) else value

    def one(match: re.Match[str], place: tuple[str | int, ...]) -> str:
        found = environ.get(match["name"], "")
        if found or match["default"] is not None:
            return found or match["default"][2:]
        word = "address" if place[-1] == "url" else str(place[-1]).replace("_", " ")
        line = source.line(*place)
        problems.append(
            Problem(
                source.name,
                line,
                f"${{{match['name']}}} is not set. Set {match['name']}"
                f" or write the {word} in {source.name}:{line}",
            )
        )
        return ""

    values = dict(source.values)
    if "connection" in values:
        values["connection"] = fill(values["connection"], ("connection",))
    return values, problems


def validate(source: Source, values: Mapping[str, Any]) -> SystemFile:
    """The file as a model. Raises MappingError with every problem of its form."""
    try:
        return SystemFile.model_validate(values)
    except ValidationError as error:
        raise MappingError(
            [source.problem(_sentence(e["type"], e["msg"], e["loc"]), *e["loc"]) for e in error.errors()]
        ) from None


def _sentence(kind: str, message: str, loc: tuple[str | int, ...]) -> str:
    last = str(loc[-1]) if loc else ""
    place = ".".join(str(part) for part in loc if not isinstance(part, int))
    if kind == "extra_forbidden":
        return _unknown_key(last, loc[:-1])
    if kind == "missing":
        return f"`{last}` is missing. Add it"
    if kind == "value_error":
        return f"{place}: " + message.removeprefix("Value error, ")
    return f"`{place}`: {message[:1].lower()}{message[1:]}. Correct it"


def _unknown_key(key: str, section: tuple[str | int, ...]) -> str:
    """What to write in place of a key that its section does not know: never that key itself."""
    known = _keys_of(section)
    where = next((f"`{part}`" for part in reversed(section) if isinstance(part, str)), "the head of the file")
    if near := difflib.get_close_matches(key, known, 1):
        return f"unknown key `{key}`. Did you mean `{near[0]}`?"
    below = [name for name in known if key in _keys_of((*section, name))]
    if section and below:
        return f"unknown key `{key}` in {where}. It belongs to `{below[0]}` there; move it, or remove it"
    elsewhere = [name for name, model in _sections() if key in _names(model)]
    if elsewhere:
        return (
            f"unknown key `{key}` in {where}. It belongs to {' or '.join(elsewhere)}; move it, or remove it"
        )
    return f"unknown key `{key}`. Here may stand: {', '.join(known)}. Correct or remove it"


def _keys_of(section: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand in the section of the file at this place."""
    found: Any = SystemFile
    for part in section:
        if isinstance(found, type) and issubclass(found, BaseModel):
            fields = {field.alias or name: field for name, field in found.model_fields.items()}
            found = fields[str(part)].annotation if str(part) in fields else None
        else:  # an item of a list, or the value of a key of the writer's own choice
            found = next((inner for inner in reversed(get_args(found)) if inner is not Ellipsis), None)
        found = _bare(found)
    return _names(found) if isinstance(found, type) and issubclass(found, BaseModel) else []


def _bare(form: Any) -> Any:
    """A type without Annotated and `| None` around it."""
    while get_origin(form) is Annotated or get_origin(form) in (Union, UnionType):
        form = next(inner for inner in get_args(form) if inner is not type(None))
    return form


def _names(model: type[BaseModel]) -> list[str]:
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _sections() -> list[tuple[str, type[BaseModel]]]:
    """The places that people know by name: the head, and the sections under it."""
    found: list[tuple[str, type[BaseModel]]] = [("the head of the file", SystemFile)]
    for name, field in SystemFile.model_fields.items():
        model = _bare(field.annotation)
        while get_origin(model) in (tuple, dict):
            model = _bare(next(inner for inner in reversed(get_args(model)) if inner is not Ellipsis))
        if isinstance(model, type) and issubclass(model, BaseModel):
            found.append((f"`{name}`", model))
    return found


def _too_deep(text: str) -> int | None:
    """The line where a text nests deeper than nodes may be composed, which goes down by recursion, in C."""
    if sum(text.count(opening) for opening in ("[", "{", "- ", "? ", ": ", ":\n")) <= MAX_DEPTH:
        return None
    depth = 0
    with contextlib.suppress(yaml.YAMLError):  # told when it is composed
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    return event.start_mark.line + 1 if event.start_mark else 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    return None


def _composed(text: str) -> yaml.Node | None:
    """The nodes of a YAML text: read in C, some eight times as fast; told in Python's words where it is broken."""
    quick: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.compose(text, Loader=quick)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _value(node: yaml.Node, file: str, problems: list[Problem], depth: int) -> Any:
    if depth > MAX_DEPTH:
        problems.append(Problem(file, node.start_mark.line + 1, TOO_DEEP))
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_value(inner, file, problems, depth + 1) for inner in node.value]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(node, file, problems)
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = _scalar(key_node, file, problems) if isinstance(key_node, yaml.ScalarNode) else None
        line = key_node.start_mark.line + 1
        if key_node.value == "<<":
            problems.append(Problem(file, line, "`<<` is not used here. Write the keys out"))
        elif key is None or isinstance(key, (dict, list)):
            problems.append(Problem(file, line, "a key must be a word or a number. Put it into quotes"))
        elif key in found:
            problems.append(Problem(file, line, f"`{key}` stands here twice. Join the two or rename one"))
        else:
            found[key] = _value(value_node, file, problems, depth + 1)
    return found


def _scalar(node: yaml.Node, file: str, problems: list[Problem]) -> Any:
    text: str = node.value
    plain = isinstance(node, yaml.ScalarNode) and not node.style
    if not plain:
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            problems.append(Problem(file, node.start_mark.line + 1, f"{text} is no day. Correct it"))
    return text
