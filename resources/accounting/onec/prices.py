"""Prices of products: rows of an information register, which the documents that set them write, or people.

Which of the two it is, public sources do not say of every configuration, and both are read: a register that follows
documents shows its rows in `…_RecordType`, each with its `Recorder` (its own set has `RecordSet` in place of rows), an
independent one in its own set. Beside what came stand, worked out here:

    Series   the dimensions of the row that the profile names: product, price type, characteristic ...
    Type     the price type among them
    Day      the day of its Period, from which the price holds

1C stamps no row of a register. While there are few, all of them come with one request. Of more, a read asks for those
of the latest periods alone and goes on for as long as a page brings one that is not stored; what was changed in the
past, or deleted, is met by the first read of a day, which is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from resources.accounting.onec.profile import Place
from resources.accounting.onec.session import NARROW, Named
from resources.connector import Page, Refused, Reject

if TYPE_CHECKING:
    from resources.accounting.onec.connector import OneC

PRODUCT = "Номенклатура_Key"
TYPES = ("ТипЦен_Key", "ВидЦен_Key", "ВидЦены_Key")
WORKED_OUT = {"Series": "Edm.String", "Type": "Edm.Guid", "Day": "Edm.DateTime"}
RECORDED = "@"  # in the id of a row, before the document that recorded it
RECORDS = "_RecordType"
MAX_PAGES = 1_000  # of the latest periods that one read goes through

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class _Set(msgspec.Struct):
    """A document's rows together, as the set of a register that follows documents shows them."""

    recorder: str = msgspec.field(name="Recorder", default="")
    recorder_key: str = msgspec.field(name="Recorder_Key", default="")
    rows: list[Raw] = msgspec.field(name="RecordSet", default_factory=list)


_set = msgspec.json.Decoder(_Set).decode


class Prices:
    """Those of one base."""

    def __init__(self, base: OneC) -> None:
        self.base = base

    def read(self, place: Place, since: datetime | None, until: datetime) -> Iterator[Page]:
        """All of them as one complete page, or those that are new among the latest."""
        known = self.base.known_versions(place.entity) if since is not None else {}
        session = self.base.session
        few = len(known) < session.page * NARROW
        if since is None or self.base.first_of_day(since, until):
            yield self._page(place, self._whole(place, known), complete=True)
            return
        name, rows = self._latest(place, known, session.page * NARROW if few else session.page)
        if few:
            missing = known.keys() - {key for key, _ in rows}
            # One that is missing is gone, or lies behind what a server before 1C lets through.
            if missing or len(rows) >= session.page * NARROW:
                rows = self._whole(place, known)
            yield self._page(place, rows, complete=True)
            return
        yield self._page(place, rows)
        for number in range(1, MAX_PAGES):
            if len(rows) < session.page or all(key in known for key, _ in rows):
                return
            rows = self._asked(name, session.page, place, skip=number * session.page)
            yield self._page(place, rows)

    def keys(self, place: Place) -> Iterator[Sequence[str]]:
        """The id of every price."""
        yield [key for key, _ in self._whole(place, self.base.known_versions(place.entity)) if key]

    def told(self, place: Place, rows: Iterable[Raw]) -> list[Named]:
        """Rows with what is worked out beside them, by their ids; "" for one without a product or a period."""
        found: list[Named] = []
        for row in rows:
            inner = _set(row)
            recorder = inner.recorder or inner.recorder_key
            found += [self._named(place, one, recorder) for one in inner.rows or [row]]
        return found

    def shape(self, sets: Mapping[str, Mapping[str, str]], place: Place) -> dict[str, str] | None:
        """The fields of a price as the base describes them, and ours; None where it publishes no such register."""
        for name in (place.set + RECORDS, place.set):
            if (fields := sets.get(name)) is not None and "RecordSet" not in fields:
                return {"": name, **fields, **WORKED_OUT}
        return {"": place.set, **WORKED_OUT} if place.set in sets else None

    # ---- inside -------------------------------------------------------------------------------

    def _named(self, place: Place, row: Raw, recorder: str) -> Named:
        body = _decode(row)
        names = self.base.profile.series.get(place.entity, ())
        series = ":".join(str(body[name]).lower() for name in names if body.get(name))
        period = str(body.get("Period") or "")
        recorder = str(body.get("Recorder") or body.get("Recorder_Key") or recorder).lower()
        beside = {
            "Series": series,
            "Type": next((str(body[name]) for name in TYPES if body.get(name)), ""),
            "Day": f"{period[:10]}T00:00:00",
        }
        whole = Raw(bytes(row).rstrip()[:-1] + b"," + _encode(beside)[1:])
        key = f"{period}:{series}" + (f"{RECORDED}{recorder}" if recorder else "")
        return (key if period and body.get(PRODUCT) else "", whole)

    def _page(self, place: Place, rows: Sequence[Named], *, complete: bool = False) -> Page:
        page = self.base.page_of(place, rows)
        twice = [Reject(f"{place.entity} {key}", _TWICE, bytes(row)) for key, row in _repeated(rows)]
        return Page(place.entity, page.records, complete=complete, rejects=[*page.rejects, *twice])

    def _sets(self, place: Place, known: Mapping[str, str]) -> list[str]:
        """Where the rows may stand, the likelier first: ids of stored ones say whether documents recorded them."""
        if place.set.endswith(RECORDS):
            return [place.set]
        first = next(iter(known), RECORDED)
        return [place.set + RECORDS, place.set] if RECORDED in first else [place.set, place.set + RECORDS]

    def _latest(self, place: Place, known: Mapping[str, str], top: int) -> tuple[str, list[Named]]:
        """The set in which the rows stand, and those of the latest periods. Raises Refused where none is published."""
        names = self._sets(place, known)
        for name in names:
            try:
                return name, self._asked(name, top, place)
            except Refused as refusal:
                if refusal.code != self.base.unpublished or name == names[-1]:
                    raise
        raise AssertionError("a place has a set")

    def _asked(self, name: str, top: int, place: Place, *, skip: int = 0) -> list[Named]:
        options = {"$orderby": "Period desc", "$top": top, "$skip": skip or ""}
        try:
            rows = self.base.session.rows(name, options)
        except Refused as refusal:
            # A set of record sets has no Period to go by.
            if skip or refusal.code == self.base.unpublished or name.endswith(RECORDS):
                raise
            rows = self.base.session.rows(name, {"$top": top})
        return self.told(place, rows)

    def _whole(self, place: Place, known: Mapping[str, str]) -> list[Named]:
        """Every row, sure of it; the order of a walk has to be that of something that tells rows apart."""
        name, first = self._latest(place, known, 1)
        if name.endswith(RECORDS):
            order = "Period,Recorder,LineNumber"
        elif first and RECORDED not in first[0][0]:
            body = _decode(first[0][1])
            names = [n for n in self.base.profile.series.get(place.entity, ()) if n in body]
            order = ",".join(["Period", *names])
        else:
            order = ""
        found: list[Named] = []
        for page in self.base.session.walk(name, lambda row: "", order=order):
            found += self.told(place, [row for _, row in page])
        return found


def _repeated(rows: Iterable[Named]) -> Iterator[Named]:
    seen: dict[str, bytes] = {}
    for key, row in rows:
        if key and seen.setdefault(key, bytes(row)) != bytes(row):
            yield key, row


_TWICE = (
    "two prices of one product, type and moment; the register has a dimension that the profile does not name under"
    " `series: {price: [...]}`: add it"
)
