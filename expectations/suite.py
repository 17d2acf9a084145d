"""A suite is a YAML file: what is expected of one table, in the words of Great Expectations.

    table: documents.deal
    key: deal_id                  the failing record
    deal: deal_id                 the deal that a critical failure holds (documents.* only)
    rows: select ...              where the checks need more than the table's own columns
    row_condition: {...}          rows that every expectation is about, unless it names its own
    expectations:
      - name: stage_has_rule      name of the asset check
        type, kwargs, severity    as Great Expectations has them
        description, reason, reason_ru

Reading suites costs YAML and nothing else: Great Expectations is imported by the gate alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

FOLDER = Path(__file__).parent

Severity = Literal["critical", "warning", "info"]

_NAME = r"^[a-z][a-z0-9_]*$"
_ABOUT_ROWS = re.compile(
    r"^expect_(column_values|column_value_lengths|column_pair_values|multicolumn|select_column_values)_"
)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C is some eight times as fast


class SuiteError(ValueError):
    """A suite is not of the form above; the message names file, line and what to mend."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expectation(_Model):
    """One expectation: one asset check."""

    name: str = Field(pattern=_NAME)
    type: str
    kwargs: dict[str, Any]
    severity: Severity
    description: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    reason_ru: str = Field(min_length=1)

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if not _ABOUT_ROWS.match(value):
            raise ValueError(
                f"{value} says nothing about single rows; take one of expect_column_values_..., "
                "expect_column_pair_values_..., expect_multicolumn_..., so that failing records can be named"
            )
        if not _in_great_expectations(value):
            raise ValueError(f"Great Expectations has no {value}; correct the name")
        return value

    @field_validator("reason", "reason_ru")
    @classmethod
    def _plain(cls, value: str) -> str:
        try:
            parts = list(Formatter().parse(value))
        except ValueError as error:
            raise ValueError(f"{error}; write {{column}} for a value, {{{{ for a brace") from error
        for _, column, form, conversion in parts:
            if column is not None and (form or conversion or not re.match(_NAME, column)):
                raise ValueError(f"{{{column}}} must be the name of a column and nothing else")
        return " ".join(value.split())

    @property
    def parameters(self) -> frozenset[str]:
        """Names of values that the caller gives: {$PARAMETER: today}."""
        return frozenset(str(node["$PARAMETER"]) for node in _dicts(self.kwargs) if "$PARAMETER" in node)

    @property
    def checked_columns(self) -> frozenset[str]:
        """Columns that the expectation looks at."""
        named = [self.kwargs.get(k) for k in ("column", "column_A", "column_B")]
        named += self.kwargs.get("column_list") or []
        named += condition_columns(self.kwargs.get("row_condition"))
        return frozenset(column for column in named if column)

    @property
    def said_columns(self) -> frozenset[str]:
        """Columns that its reasons speak of."""
        parts = [*Formatter().parse(self.reason), *Formatter().parse(self.reason_ru)]
        return frozenset(column for _, column, _, _ in parts if column)


class Suite(_Model):
    """What is expected of one table. `path` is the file it stands in."""

    table: str = Field(pattern=r"^[a-z]+\.[a-z_]+$")
    key: str = Field(pattern=_NAME)
    deal: str | None = Field(default=None, pattern=_NAME)
    rows: str = ""
    row_condition: dict[str, Any] | None = None
    expectations: tuple[Expectation, ...] = Field(min_length=1)
    path: Path

    @model_validator(mode="after")
    def _whole(self) -> Suite:
        names = [expectation.name for expectation in self.expectations]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the name {name} stands twice; a name is an asset check, give each its own")
        expected = self.path.parent.name + "." + self.path.stem
        if self.table != expected:
            raise ValueError(f"table is {self.table}, but the file's place says {expected}; make them one")
        if self.table.startswith("documents.") and self.deal is None:
            raise ValueError("a suite of documents needs `deal`: the column that names the deal to hold")
        if self.deal is not None:
            for expectation in self.expectations:
                if "mostly" in expectation.kwargs:
                    raise ValueError(
                        f"{expectation.name}: `mostly` has no place in the gate, which holds every record "
                        "that fails; take it out"
                    )
        return self

    def select(self, condition: str = "") -> str:
        """SELECT of the rows to check, of those only for which `condition` (SQL on the rows) holds."""
        rows = (
            f"select * from ({self.rows.strip()}) as checked" if self.rows else f"select * from {self.table}"
        )
        return f"{rows} where {condition}" if condition else rows

    def kwargs_of(self, expectation: Expectation) -> dict[str, Any]:
        """The expectation's kwargs with the suite's `row_condition`; `row_condition: null` lifts that."""
        kwargs = {"row_condition": self.row_condition} | expectation.kwargs
        return {name: value for name, value in kwargs.items() if value is not None}

    @property
    def checked_columns(self) -> frozenset[str]:
        """Columns that the expectations look at, and the key."""
        own = {self.key, *condition_columns(self.row_condition)}
        return frozenset(own.union(*(expectation.checked_columns for expectation in self.expectations)))

    @property
    def columns(self) -> frozenset[str]:
        """Columns that the rows must have."""
        own = self.checked_columns | {self.deal or self.key}
        return own.union(*(expectation.said_columns for expectation in self.expectations))


def read_suite(path: Path) -> Suite:
    """Read one suite. Raises SuiteError."""
    where = f"expectations/{path.parent.name}/{path.name}"
    loader = _Loader(path.read_text(encoding="utf-8"))
    try:
        node = loader.get_single_node()
        content = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SuiteError(f"{where}:{line}: not readable as YAML: {error.problem}; mend the line") from error
    finally:
        loader.dispose()
    if not isinstance(content, dict):
        raise SuiteError(f"{where}:1: a suite begins with `table:`, `key:` and `expectations:`")
    try:
        return Suite.model_validate({**content, "path": path})
    except ValidationError as error:
        first = error.errors()[0]
        place = [part for part in first["loc"] if not (isinstance(part, str) and part.startswith("function"))]
        said = first["msg"].removeprefix("Value error, ")
        raise SuiteError(f"{where}:{_line(node, place)}: {_dotted(place)}{said}{_remedy(first)}") from error


@cache
def suites() -> Mapping[str, Suite]:
    """All suites by the name of their table. Raises SuiteError."""
    found = (read_suite(path) for path in sorted(FOLDER.glob("*/*.yaml")))
    return MappingProxyType({suite.table: suite for suite in found})


def fingerprint(tables: Iterable[str]) -> str:
    """Of what these tables' suites ask: another one means that every row is to be checked anew."""
    chosen = [suites()[table].model_dump_json(exclude={"path"}) for table in sorted(tables)]
    return hashlib.sha256("\n".join(chosen).encode()).hexdigest()[:16]


def condition_columns(condition: Any) -> list[str]:
    """Columns that a row condition of Great Expectations (its JSON form) speaks of."""
    return [str(node["column"]["name"]) for node in _dicts(condition) if isinstance(node.get("column"), dict)]


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _dicts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _dicts(inner)


@cache
def _in_great_expectations(name: str) -> bool:
    spec = find_spec("great_expectations")  # finds, does not import
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        return True  # where it is not installed, the gate says so
    return (Path(folders[0]) / "expectations" / "core" / f"{name}.py").is_file()


def _line(node: Any, place: Sequence[object]) -> int:
    """The line of the deepest part of `place` that is in the file."""
    for part in place:
        inner = None
        if isinstance(node, yaml.MappingNode):
            inner = next((value for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            inner = node.value[part]
        if inner is None:
            break
        node = inner
    return int(node.start_mark.line) + 1


def _dotted(place: Sequence[object]) -> str:
    return ".".join(str(part) for part in place) + ": " if place else ""


def _remedy(error: Any) -> str:
    return {
        "missing": "; add it",
        "extra_forbidden": "; correct the spelling or take it out",
        "literal_error": " (the severities of Great Expectations)",
    }.get(error["type"], "")
