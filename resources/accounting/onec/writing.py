"""Writing to a 1C base: one request a record under our key, and refusals that a person can act on.

A refusal carries 1C's own text whole and says which document it is about: its number, its date and the link that
opens it (in 1C: Ctrl+F11, paste). A base that makes keys of its own is found out by the first record that it creates:
that one is marked for deletion, and nothing more is created there, since nothing would keep a repeat from doubling.
An answer about another record altogether, repeated on its way, is none: what became of ours is looked up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from resources.accounting.onec import odata
from resources.accounting.onec.names import Names
from resources.accounting.onec.partners import Partners
from resources.accounting.onec.profile import Place
from resources.connector import Conflict, Exists, Refused, SourceError, Uncertain, Written

if TYPE_CHECKING:
    from resources.accounting.onec.connector import OneC

FOREIGN_KEY = "foreign_key"
NO_OWN_KEYS = (
    "this base does not keep the keys that we choose, so a repeat could not be told from a new record: nothing "
    "more is created. Update the platform (8.3.16 or newer keeps them), or carry these documents by a file "
    "exchange; then run `sverka sources check`"
)


class Writer:
    """The `Target` half of a base. Thread-safe."""

    def __init__(self, base: OneC) -> None:
        self.base = base
        self.names = Names(base)
        self.partners = Partners(base)
        self.keys_are_kept: bool | None = None  # unknown until the first record is created
        self._first = threading.Lock()
        self._doubted: set[str] = set()  # keys to which 1C answered with another record, once

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """See OneC.create."""
        if self.keys_are_kept:
            return self._create(kind, key, body)
        with self._first:  # one at a time until it is known, so that one record at most is made in vain
            if self.keys_are_kept is False:
                raise Refused(f"{self.base.system}: {kind} {key}: {NO_OWN_KEYS}", code=FOREIGN_KEY)
            return self._create(kind, key, body)

    def _create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        return self.send_new(kind, key, self.names.given(kind, self.partners.for_new(kind, key, body)))

    def send_new(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """Create a record as it stands. Raises as `create`."""
        subject = f"{kind} {key}"
        place = self.base.place(kind)
        ours = odata.canonical(key)
        try:
            answer = self.base.session.write("POST", place.set, subject, {**body, "Ref_Key": ours})
        except Exists:
            self.keys_are_kept = True  # there is a record of that key
            raise
        given = str(answer.get("Ref_Key", "")).lower()
        if given and given != ours:
            raise self._another(place, subject, ours, given, body, answer)
        if given:
            self.keys_are_kept = True
        return Written(given or ours, answer)

    def _another(
        self,
        place: Place,
        subject: str,
        ours: str,
        given: str,
        body: Mapping[str, Any],
        answer: Mapping[str, Any],
    ) -> SourceError:
        """What an answer with another key means: the answer to an earlier request, or a base that makes its own keys.

        Of a base that is not known to keep ours, a second such answer to one record settles it.
        """
        what = f"{self.base.system}: {subject}"
        is_other = any(
            isinstance(value, str) and isinstance(said := answer.get(name), str) and said != value
            for name, value in body.items()
        )
        if self.keys_are_kept or (is_other and ours not in self._doubted):
            self._doubted.add(ours)
            return Uncertain(
                f"{what}: 1C answered with another record ({given}), as a proxy does that repeats an earlier answer; "
                "ours is looked up before anything is sent again"
            )
        self.keys_are_kept = False
        # What may be a record of somebody else's is left alone.
        done = "which is not marked for deletion: see whose it is" if is_other else self._mark(place, given)
        return Refused(
            f"{what} was created by 1C under another key ({given}), {done}; {NO_OWN_KEYS}", code=FOREIGN_KEY
        )

    def _mark(self, place: Place, key: str) -> str:
        """Mark for deletion what was made in vain; what became of it, in words."""
        resource = f"{place.set}({odata.guid(key)})"
        try:
            self.base.session.write("PATCH", resource, resource, {"DeletionMark": True})
        except SourceError as error:
            return f"and could not be marked for deletion ({error}): delete it in 1C, {link(place.set, key)}"
        return "and is marked for deletion"

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        """See OneC.update."""
        resource = f"{self.base.place(kind).set}({odata.guid(key)})"
        given = self.names.given(kind, self.partners.of_party(kind, body))
        answer = self._tell(kind, key, "PATCH", resource, f"{kind} {key}", body=given, version=version)
        return Written(odata.canonical(key), answer)

    def post(self, kind: str, key: str) -> None:
        """See OneC.post."""
        resource = f"{self.base.place(kind).set}({odata.guid(key)})/Post"
        options = {"PostingModeOperational": "false"}
        self._tell(kind, key, "POST", resource, f"posting of {kind} {key}", options=options)

    def unpost(self, kind: str, key: str) -> None:
        """See OneC.unpost."""
        resource = f"{self.base.place(kind).set}({odata.guid(key)})/Unpost"
        self._tell(kind, key, "POST", resource, f"unposting of {kind} {key}")

    def _tell(
        self, kind: str, key: str, method: str, resource: str, subject: str, **more: Any
    ) -> dict[str, Any]:
        """One write of a record that is there; a refusal names the record as people know it."""
        try:
            return self.base.session.write(method, resource, subject, **more)
        except Exists:
            raise
        except Conflict as refusal:
            opens = link(self.base.place(kind).set, key)
            raise Conflict(f"{refusal}. It is {opens}", code=refusal.code) from refusal
        except Refused as refusal:
            raise Refused(f"{refusal}. {self._called(kind, key)}", code=refusal.code) from refusal

    def _called(self, kind: str, key: str) -> str:
        """«It is № 0000-000007 of 2026-03-10: e1cib/data/…»; without number and date where 1C does not tell."""
        place = self.base.place(kind)
        known = ""
        try:
            options = {
                "$filter": f"Ref_Key eq {odata.guid(key)}",
                "$select": "Ref_Key,Number,Date",
                "$top": 1,
            }
            rows = self.base.session.rows(place.set, options) if place.kind == "document" else []
            for row in map(odata.decode, rows):
                known = f"№ {str(row.get('Number', '')).strip()} of {str(row.get('Date', ''))[:10]}"
        except SourceError:
            known = ""  # the refusal itself matters more
        return f"It is {known + ', ' if known else ''}{link(place.set, key)}"

    def find(
        self, place: Place, bodies: Iterable[tuple[list[str], list[Raw]]]
    ) -> Iterator[Mapping[str, Any]]:
        """Bodies read back, words beside keys."""
        for _, rows in bodies:
            for row in rows:
                yield self.names.shown(odata.decode(row))


def link(entity_set: str, key: str) -> str:
    """What opens a record in 1C: its reference with the parts of the key in the platform's own order."""
    prefix, _, name = entity_set.partition("_")
    folder = {"Document": "Документ", "Catalog": "Справочник"}.get(prefix, prefix)
    first, second, third, fourth, fifth = odata.canonical(key).split("-")
    return f"e1cib/data/{folder}.{name}?ref={fourth}{fifth}{third}{second}{first}"
