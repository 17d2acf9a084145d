"""Where the documentation of Megaplan leaves two readings open: what is played, and how to play the other.

    GET  /megaplan/control/options                     what is played now
    POST /megaplan/control/options {"max_limit": 100}  play it so from now on

Both are the stand-in's own; the vendor has no such pages. A second portal has options of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "date_terms": ("lenient", "strict"),
    "time_precision": ("exact", "day", "ignored"),
    "lost_anchor": ("continue", "empty", "refuse"),
    "unknown_fields": ("ignore", "refuse"),
    "bulk_counts": ("one", "each"),
    "gone_deal": ("404", "403"),
}
LISTS: Final[Mapping[str, type]] = {"said_inside": int, "not_editable": str}
MOST: Final = 1_000_000


@dataclass(slots=True)
class Manners:
    """The readings in force. The defaults are what the vendor's RAML or the better evidence says.

    requests_per_hour  of one portal. The RAML is silent; a client of the older API keeps to 3000.
    max_limit          the largest page; a larger `limit` is lowered without a word, as `meta.pagination` tells.
    date_terms         lenient: a date term also takes plain strings with greater_than, less_than, more, less,
                       more_eq, less_eq, interval. strict: only what the RAML lists, the rest is 422.
    time_precision     of a term on timeUpdated or timeCreated. exact: to the second. day: whole days of the
                       account's zone (Moscow). ignored: 200 and everything, as with any field unknown.
    sort_times         whether lists can be sorted by timeUpdated (the RAML marks it sortable).
    lost_anchor        `pageAfter` names a deleted row. continue: after the place where it stood.
    said_inside        statuses that come as HTTP 200 with the status in `meta`; others are HTTP statuses.
    unknown_fields     in a body that is written: passed over, or 422.
    not_editable       keys of a deal that the user may not write: not in `editableFields`, 403 when written.
    gone_deal          what a deleted deal answers to by id.
    bulk_calls         the most calls or links in one bulk request.
    bulk_counts        whether a bulk request counts once against the limit, or each call in it.
    months_from_zero   DateOnly.month counts from 0 (RAML: «отсчёт начинается с 0»).
    """

    requests_per_hour: int = 3000
    max_limit: int = 500
    date_terms: str = "lenient"
    time_precision: str = "exact"
    sort_times: bool = True
    lost_anchor: str = "continue"
    said_inside: tuple[int, ...] = (401,)
    unknown_fields: str = "ignore"
    not_editable: tuple[str, ...] = ()
    gone_deal: str = "404"
    bulk_calls: int = 100
    bulk_counts: str = "one"
    months_from_zero: bool = True

    def change(self, said: Mapping[str, Any]) -> None:
        """Take other readings. Raises ValueError on an unknown name or a value it cannot have."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in said.items():
            if name not in known:
                raise ValueError(f"no option {name!r}; there are {', '.join(known)}")
            if name in LISTS:
                if not isinstance(value, list) or not all(type(item) is LISTS[name] for item in value):
                    raise ValueError(f"{name} is a list, each of it {LISTS[name].__name__}")
                setattr(self, name, tuple(value))
                continue
            if type(value) is not type(known[name]):
                raise ValueError(f"{name} is {value!r}; give a {type(known[name]).__name__}")
            if name in CHOICES and value not in CHOICES[name]:
                raise ValueError(f"{name} is {value!r}; give {' or '.join(CHOICES[name])}")
            if type(value) is int and not 1 <= value <= MOST:
                raise ValueError(f"{name} is {value}; give 1 to {MOST}")
            setattr(self, name, value)

    def told(self) -> dict[str, Any]:
        return asdict(self)
