"""What a connection says of the files of each entity: read, checked, told with its place where it is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from resources.connection import DAY, SWITCH_WORDS, as_number, as_switch
from resources.connector import SourceError
from resources.crm.files.dates import DateStyle
from resources.crm.files.header import MAX_HEADER_ROWS, squeezed
from resources.crm.files.layout import Layout

Place = tuple[str | int, ...]
SETTLE: Final = Decimal(5)  # seconds for which a file must have been left alone
_UP_TO_A_DAY: Final = (DAY, "seconds up to a day")
OPTIONS = (
    "pattern", "key", "mode", "sheet", "header_row", "header_rows", "encoding", "separator", "skip_totals",
    "total_words", "control_totals", "control_difference", "merged_down", "blanks_continue", "group_column",
    "hidden_rows", "hidden_columns", "codes", "dates", "date_order", "errors_empty", "columns", "min_share",
    "allow_shrink", "settle_seconds", "parent", "parent_columns", "parent_changes", "allow_restore",
)  # fmt: skip


class OptionError(SourceError):
    """An option is missing, unknown or wrong. `place`: where it stands below `connection`."""

    def __init__(self, system: str, place: Place, cause: str, remedy: str) -> None:
        at = ".".join(str(part) for part in place)
        super().__init__(f"{system}: `{at}` {cause}; {remedy}")
        self.place, self.cause, self.remedy = place, cause, remedy


@dataclass(frozen=True, slots=True)
class TableFiles:
    """What a connection says of one entity's files. docs/files.md describes every option."""

    entity: str
    patterns: tuple[str, ...]
    layout: Layout
    snapshot: bool = True
    skip_totals: bool = True
    min_share: float = 0.5
    allow_shrink: bool = False
    settle: timedelta = timedelta(seconds=5)
    parent: str = ""  # column of what several rows together are; rows of one key are then numbered
    parent_columns: tuple[str, ...] = ()  # columns in which all rows of one parent agree
    parent_changes: tuple[str, ...] = ()  # of these, such as may change from file to file
    allow_restore: bool = False
    total_words: tuple[str, ...] = ()  # what else a row of totals may begin with
    control_totals: tuple[str, ...] | None = None  # columns whose totals are compared; None: found out
    control_difference: Decimal = Decimal(0)  # by which a total may differ, in units of its column
    merged_down: tuple[str, ...] = ()  # columns whose merged cells count for each of their rows
    blanks_continue: bool = False  # in a workbook too an empty cell goes on with the one above
    group_column: str = ""  # name of the column that headings of groups are given as
    leave_out_rows: bool = False  # hidden and filtered ones
    leave_out_columns: bool = False
    codes: tuple[str, ...] | None = None  # columns of numbers that are names; None: by their names
    dates: tuple[str, ...] = ()
    date_order: DateStyle = "auto"
    errors_empty: tuple[str, ...] = ()  # columns in which a failed formula counts as an empty cell

    @property
    def codes_always(self) -> tuple[str, ...]:
        """Columns that are codes whatever `codes` says."""
        return (self.parent,) if self.parent else ()


def table_files(system: str, entity: str, options: object, settle_seconds: object) -> TableFiles:
    """Validate the options of one entity. Raises OptionError naming the option and the remedy."""
    here: Place = ("tables", entity)
    if not isinstance(options, Mapping) or not options.get("pattern") or not options.get("key"):
        raise OptionError(system, here, "names no `pattern` and `key`", "add them to the connection")
    for name in options:
        if name not in OPTIONS:
            near = get_close_matches(str(name), OPTIONS, 1)
            remedy = f"did you mean `{near[0]}`" if near else f"known are {', '.join(sorted(OPTIONS))}"
            raise OptionError(system, (*here, str(name)), "is an option that nobody knows", remedy)
    given = _Given(system, here, options)
    table = _table(given, entity, settle_seconds)
    _expect_agreement(given, table)
    return table


def _table(given: _Given, entity: str, settle_seconds: object) -> TableFiles:
    """Each option in its own form. A column that any of them names must be in the file."""
    parent, parent_columns = squeezed(given.text("parent")), given.columns("parent_columns")
    merged_down, dates, errors_empty = map(given.columns, ("merged_down", "dates", "errors_empty"))
    control, codes = given.listed_or("control_totals", "auto"), given.listed_or("codes", "auto")
    needed = (parent, *parent_columns, *merged_down, *dates, *(control or ()), *(codes or ()), *errors_empty)
    layout = Layout(
        key=given.columns("key"),
        columns=tuple(dict.fromkeys(c for c in (*given.columns("columns"), *needed) if c)),
        sheet=given.text("sheet") or None,
        header_row=given.number("header_row", 1, 1_048_576),
        header_rows=given.number("header_rows", 1, MAX_HEADER_ROWS) or 1,
        encoding=given.text("encoding") or None,
        separator=given.separator(),
    )
    of_all = _Given(given.system, (), {"settle_seconds": settle_seconds})
    settle = given.decimal(
        "settle_seconds", of_all.decimal("settle_seconds", SETTLE, *_UP_TO_A_DAY), *_UP_TO_A_DAY
    )
    return TableFiles(
        entity,
        given.texts("pattern"),
        layout,
        snapshot=given.one_of("mode", ("snapshot", "append")) == "snapshot",
        skip_totals=given.flag("skip_totals", True),
        min_share=float(given.decimal("min_share", Decimal("0.5"), 1, "a share from 0 to 1")),
        allow_shrink=given.flag("allow_shrink", False),
        settle=timedelta(seconds=float(settle)),
        parent=parent,
        parent_columns=parent_columns,
        parent_changes=given.columns("parent_changes"),
        allow_restore=given.flag("allow_restore", False),
        total_words=given.texts("total_words"),
        control_totals=control,
        control_difference=given.decimal("control_difference", Decimal(0), None, "an amount from 0"),
        merged_down=merged_down,
        blanks_continue=given.flag("blanks_continue", False),
        group_column=squeezed(given.text("group_column")),
        leave_out_rows=given.one_of("hidden_rows", ("read", "leave_out")) == "leave_out",
        leave_out_columns=given.one_of("hidden_columns", ("read", "leave_out")) == "leave_out",
        codes=codes,
        dates=dates,
        date_order=given.one_of("date_order", ("auto", "day_first", "month_first")),  # type: ignore[arg-type]  # one of the three
        errors_empty=errors_empty,
    )


def _expect_agreement(given: _Given, table: TableFiles) -> None:
    """Raises OptionError where one option makes no sense beside another."""
    if table.parent_columns and not table.parent:
        given.wrong("parent_columns", "has no `parent`", "name the column that tells whole from whole")
    if strange := [column for column in table.parent_changes if column not in table.parent_columns]:
        given.wrong(
            "parent_changes", f"names {strange[0]}, which is none of `parent_columns`", "correct one of them"
        )
    if bad := [p for p in table.patterns if Path(p).is_absolute() or ".." in Path(p).parts]:
        given.wrong("pattern", f"leaves the folder with {bad[0]}", "write it relative to `folder`")
    if table.blanks_continue and not table.merged_down:
        given.wrong(
            "blanks_continue", "has no `merged_down`", "name the columns whose cells are merged downwards"
        )
    if table.date_order != "auto" and not table.dates:
        given.wrong("date_order", "has no `dates`", "name the columns that hold dates")
    totals = ("total_words", "control_totals", "control_difference")
    if not table.skip_totals and (stray := [name for name in totals if name in given.options]):
        given.wrong(stray[0], "is set while `skip_totals` is false", "drop one of the two")
    if mixed := [column for column in table.dates if column in (table.codes or ())]:
        given.wrong("dates", f"names {mixed[0]}, which `codes` names too", "leave it in one of them")
    if mixed := [column for column in table.errors_empty if column in (*table.layout.key, table.parent)]:
        given.wrong("errors_empty", f"names {mixed[0]}, by which rows are told apart", "leave it out")


def wrong_options(system: str, connection: Mapping[str, object]) -> Iterator[tuple[Place, str, str]]:
    """The first wrong option of each table: its place below `connection`, what is wrong, and the remedy."""
    tables = connection.get("tables")
    told: set[Place] = set()  # one that stands above all tables is told once
    if isinstance(tables, Mapping):
        for entity, options in tables.items():
            try:
                table_files(system, str(entity), options, connection.get("settle_seconds"))
            except OptionError as error:
                if error.place not in told:
                    yield error.place, error.cause, error.remedy
                told.add(error.place)


@dataclass(frozen=True, slots=True)
class _Given:
    """The options of one entity, each taken in the form that it must have."""

    system: str
    here: Place
    options: Mapping[str, object]

    def wrong(self, name: str, cause: str, remedy: str) -> None:
        raise OptionError(self.system, (*self.here, name), cause, remedy)

    def text(self, name: str) -> str:
        value = self.options.get(name)
        if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
            return str(value if value is not None else "").strip()
        self.wrong(name, f"is one name, not {value!r}", "correct it")
        return ""

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.options.get(name)
        if value is None:
            return ()
        found = [value] if isinstance(value, str | int) else value
        if not isinstance(found, Sequence) or any(
            not isinstance(v, str | int) or isinstance(v, bool) for v in found
        ):
            self.wrong(name, f"is a name or a list of names, not {value!r}", "correct it")
            return ()
        return tuple(str(v).strip() for v in found)

    def columns(self, name: str) -> tuple[str, ...]:
        """Names of columns, spelled as those of a file are."""
        found = tuple(squeezed(text) for text in self.texts(name))
        if "" in found:
            self.wrong(name, "names an empty column", "remove it")
        if len(set(found)) < len(found):
            self.wrong(name, "names a column twice", "remove one")
        return found

    def listed_or(self, name: str, word: str) -> tuple[str, ...] | None:
        """Columns, or None where it is left out or says so by the word."""
        value = self.options.get(name)
        return None if value is None or value == word else self.columns(name)

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        """One of the words; the first is the default."""
        value = self.options.get(name, known[0])
        if not isinstance(value, str) or value not in known:
            self.wrong(name, f"is {' or '.join(known)}, not {value!r}", "correct it")
        return str(value)

    def flag(self, name: str, default: bool) -> bool:
        """A yes or no; as a text where it comes from the environment."""
        value = self.options.get(name)
        try:
            return as_switch(value, default)
        except ValueError:
            self.wrong(name, f"is {SWITCH_WORDS}, not {value!r}", "correct it")
            return default

    def separator(self) -> str | None:
        """One character, blanks too, or the word for a tab; None where it is to be found out."""
        value = self.options.get("separator") or None
        if value is None or (isinstance(value, str) and (len(value) == 1 or value in ("tab", "\\t"))):
            return value
        self.wrong("separator", f"is one character or `tab`, not {value!r}", "correct it")
        return None

    def number(self, name: str, least: int, most: int) -> int | None:
        value = self.options.get(name)
        try:
            found = as_number(value, least, most, whole=True)
        except ValueError:
            self.wrong(name, f"is a whole number from {least} to {most}, not {value!r}", "correct it")
            return None
        return None if found is None else int(found)

    def decimal(self, name: str, default: Decimal, most: int | None, what: str) -> Decimal:
        value = self.options.get(name)
        try:
            found = as_number(value, 0, most)
        except ValueError:
            self.wrong(name, f"is {what}, not {value!r}", "correct it")
            return default
        return default if found is None else found
