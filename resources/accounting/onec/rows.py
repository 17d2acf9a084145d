"""What names a row that 1C sends, by the kind of its place, and rows gathered into pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from msgspec import Raw

from resources.accounting.onec import odata
from resources.accounting.onec.profile import Place
from resources.accounting.onec.session import Named


def naming(place: Place) -> Callable[[Raw], str]:
    """What gives a row of this place its id; "" where the row has none."""
    match place.kind:
        case "entries":
            return _entry_name
        case "rows":
            return lambda row: _row_name(row, place.key)
        case "balance" | "latest":
            ledger = place.set.startswith("AccountingRegister_")
            return _ledger_balance_name if ledger else _dimensions_name
        case _:
            return _object_name


def gathered(pages: Iterable[list[Named]], size: int) -> Iterator[list[Named]]:
    """Small answers gathered into pages of at least `size` rows (the last may be smaller)."""
    found: list[Named] = []
    for page in pages:
        found += page
        if len(found) >= size:
            yield found
            found = []
    if found:
        yield found


def whole_documents(entries: Iterable[Named]) -> tuple[str, ...]:
    """The documents all of whose lines are there (1, 2, … n)."""
    lines: dict[str, set[int]] = {}
    for _, row in entries:
        entry = odata.decode_entry(row)
        lines.setdefault(entry.document, set()).add(int(entry.line))
    return tuple(document for document, there in lines.items() if there == set(range(1, len(there) + 1)))


def _object_name(row: Raw) -> str:
    return odata.decode_header(row).ref_key.lower()


def _entry_name(row: Raw) -> str:
    entry = odata.decode_entry(row)
    return f"{entry.document}:{entry.line}" if entry.document and entry.line else ""


def _row_name(row: Raw, key: Sequence[str]) -> str:
    body = msgspec.json.decode(row)
    parts = [str(body.get(name) or "") for name in key]
    return ":".join(parts) if all(parts) else ""


def _ledger_balance_name(row: Raw) -> str:
    """A balance is named by its account and every dimension of the row, in the order of their names."""
    body = msgspec.json.decode(row)
    rest = sorted(name for name in body if name.endswith("_Key") or name.startswith("ExtDimension"))
    return ":".join(str(body[name] or "") for name in rest if not name.endswith("_Type"))


def _dimensions_name(row: Raw) -> str:
    """By every dimension of the row; what is no dimension is a number, a time or who recorded it."""
    body = msgspec.json.decode(row)
    rest = sorted(
        name
        for name, value in body.items()
        if not name.endswith(("Balance", "_Type")) and isinstance(value, str) and name not in _NO_DIMENSION
    )
    return ":".join(str(body[name]) for name in rest)


_NO_DIMENSION = frozenset({"Period", "Recorder", "Recorder_Key", "LineNumber", "Active"})
