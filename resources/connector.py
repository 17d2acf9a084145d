"""What the graph asks of an outside system, and what it gets back: the seams of every connector.

A connector is a module with `connect` and one class: a `Source`, and a `Target` where it is written to. It
varies in how it authenticates, pages, asks for changes, sees deletions and writes; everything else (rate
budget, retries, raw storage, the operation ledger) is written once elsewhere. What it can do is declared as
data in `Capabilities`. What it may offer or ask for besides is one of the small protocols at the end, which
callers look for with `isinstance`: a connector has all members of such a protocol, or none.

Times are aware datetimes in UTC. Money stays in the payload as the vendor sent it; nothing here
rounds or converts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Final, Literal, Protocol, runtime_checkable

import msgspec


class Record(msgspec.Struct, frozen=True, gc=False):
    """One object as the source sent it. `payload` is its JSON text, byte for byte where possible.

    A struct, since it is made for every row: a frozen dataclass takes nine times as long.
    """

    source_id: str
    payload: bytes
    modified_at: datetime | None = None
    parent_id: str | None = None  # the deal of a deal line, the company of a requisite ...
    deleted: bool = False  # a tombstone the vendor gave us; payload is then b"{}" or the last state
    our_key: str | None = (
        None  # where the target numbers records itself: our key that this one carries (AssignsKeys)
    )
    merged_into: str | None = None  # of a tombstone: the record that it was merged into


@dataclass(frozen=True, slots=True)
class Reject:
    """Something received that cannot become a record: a row without its key, two rows with one id.

    It is kept in `ops.quarantine` with its reason, so nothing received is lost.
    """

    place: str  # where a person finds it: "deals.csv, line 17"
    reason: str  # what is wrong and what to do, one sentence
    payload: bytes
    parent_id: str | None = None  # the deal it belongs to, where that is known: held until this is mended


@dataclass(frozen=True, slots=True)
class Page:
    """A handful of records of one entity.

    `complete_parents`: the children of these parents are all here; stored children of theirs
    that are not on the page no longer exist. `complete`: this one page is the whole entity
    (small dictionaries: stages, users), so whatever is stored and not here is deleted.
    """

    entity: str
    records: Sequence[Record]
    complete_parents: Sequence[str] = ()
    complete: bool = False
    rejects: Sequence[Reject] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A hint that a record may have changed: enough for a sensor to compare with what is stored."""

    entity: str
    source_id: str
    modified_at: datetime | None  # None where the source has no stamp; then compare `version`
    version: str | None = None  # opaque version (1C DataVersion, a file's hash)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `sverka sources check`: what was tried, whether it works, what to do if not."""

    subject: str
    ok: bool
    message: str
    remedy: str = ""


EVERY_CHILD: Final = ":*"  # behind the id of a parent, among the keys: see Source.keys

# sweep: its ids are compared; tombstones: it tells of deletions itself, or none happens.
Deletions = Literal["sweep", "tombstones"]


@dataclass(frozen=True, slots=True)
class Entity:
    """How one entity of a system is read. Names are ours (`deal`, `deal_line`), not the vendor's."""

    name: str
    incremental: bool  # can be asked for changes since a time
    deletions: Deletions = "sweep"
    parent: str | None = None  # read together with this entity (deal_line with deal)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a connector can do, as data."""

    entities: Sequence[Entity]
    writes: Sequence[str] = ()  # kinds that `create`/`update` accept
    overlap_seconds: int = 3600  # how far back an incremental read starts before the cursor
    known_max: bool = False  # `read` also takes the highest id stored of each entity; see `Source.read`
    posted: str = ""  # the field of a document read back that says whether it is posted
    version: str = ""  # the field of a record read back that holds its version, or the stamp of our write
    # Seconds after an operation became uncertain during which a create that was not found may still arrive; 0 resends
    # at once, for the system refuses our key twice. Set by `resources.http.settling`.
    settles_after: float = 0.0
    volatile: Sequence[str] = ()  # what the system stamps on a record by itself: no change of the record


class SourceError(Exception):
    """A read or write failed for a reason a person can act on.

    The message names the system, the thing, the cause and the remedy, and never a secret.
    `retriable` is False where asking again cannot help (wrong credentials, missing right).
    """

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable


class Uncertain(SourceError):
    """The request may or may not have been carried out (timeout, dropped answer, 5xx after sending).

    Only a probe (`find`) decides; the caller must not resend before it.
    """


class Refused(SourceError):
    """The target understood and refused (a business rule, a closed period, a missing field).

    `code` is the vendor's own; the message carries the vendor's text whole.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message, retriable=False)
        self.code = code


class Exists(Refused):
    """A record with the key we chose is there already; `find` it and compare."""


class Conflict(Refused):
    """The record changed since we read it (412, other DataVersion): read again and decide."""


@runtime_checkable
class Source(Protocol):
    """A system that is read. All methods are synchronous and may be called from several threads."""

    capabilities: ClassVar[Capabilities]
    system: str  # the name of the connected system, e.g. "bitrix24": prefix of every id

    def check(self) -> list[Finding]:
        """Try the connection and the rights, entity by entity; never raises for what it reports."""
        ...

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """Yield pages of the named entities.

        `since=None` reads everything; else whatever was modified in [since, until). What was modified
        later may come too, and must where the vendor stamps by whole seconds or by another clock than
        ours: a change of a moment ago would else wait for the next read. Child entities
        (a parent in `Capabilities`) of every yielded parent follow as pages with
        `complete_parents`. Raises SourceError; pages already yielded stay valid.

        With `Capabilities.known_max` it takes `known_max: Mapping[str, str] | None` too, by keyword, and
        reads records of higher ids whatever their stamp says (an import may carry old dates).
        """
        ...

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        """Yield the ids of every living record, for the completeness sweep.

        Where a parent lives and its children cannot be told, `<its id>:*` (EVERY_CHILD) stands for all of them.
        """
        ...

    def changes(self, since: datetime) -> Iterator[Change]:
        """Yield cheap hints of what was modified since then; a few requests at most when quiet."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Written:
    """The answer to a create or update: the vendor's key and the body it returned (may be empty)."""

    key: str
    body: Mapping[str, Any]


@runtime_checkable
class Target(Protocol):
    """A system that is written to. Bodies are in the vendor's own field names.

    Each call sends one request and never retries after the request may have left:
    it raises Uncertain instead. It may wait for the rate budget, and retry where the answer
    proves that nothing was done (429, 503 with the vendor's limit code).
    """

    capabilities: ClassVar[Capabilities]
    system: str

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """Create a record. `key` is our computed key: the record's own key where the target lets us choose it,
        else written into the vendor's searchable reference. Raises Exists, Refused, Uncertain."""
        ...

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        """Change the named fields of a record, if its version is still `version` (where supported)."""
        ...

    def post(self, kind: str, key: str) -> None:
        """Post a document. Raises Refused with the vendor's text."""
        ...

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Read records back by our keys, as few requests as possible; absent keys are missing."""
        ...


# ---- What a connector may offer or ask for besides ---------------------------------------------
#
# `known_*` are set by whoever stores the records, before the first call; the connector asks them while it
# reads. Until then they hold a default of the connector's own.


@runtime_checkable
class ComparesVersions(Protocol):
    """A source without stamps: it fetches bodies whose version differs from the one that is stored."""

    known_versions: Callable[[str], Mapping[str, str]]  # by entity: the stored version of each id


@runtime_checkable
class PassesOverOurOwn(Protocol):
    """A source that does not read again what nobody but us has changed."""

    # By entity and ids: the stamps that our own writing gave, of records that were read whole since.
    known_stamps: Callable[[str, Sequence[str]], Mapping[str, datetime]] | None


@runtime_checkable
class TellsItsTime(Protocol):
    """A source whose answers bear the time of its own clock, by which it stamps its records too."""

    def clock_behind(self) -> float:
        """Seconds by which its clock lay behind ours at the last answer; 0 where it was ahead, or nothing told."""
        ...


@runtime_checkable
class ReadsFiles(Protocol):
    """A source of files: it knows of every file what of it is stored, so a sweep that meets an unknown id has
    nothing to read again."""

    known_count: Callable[[str], int] | None  # how many living records an entity has
    known_contents: Callable[[str], Sequence[Change]] | None  # the contents loaded so far, latest last
    known_parents: Callable[[str, Sequence[str]], Sequence[Record]] | None  # a record by parent and file
    known_rejects: Callable[[str], Sequence[str]] | None  # places of the rows set apart
    loaded: list[
        Change
    ]  # contents that the last `read` read to the end for the first time; kept for `known_contents`
    finished: list[
        Change
    ]  # all files that it read to the end: what was set apart of them and is not now is mended


@runtime_checkable
class KeepsPlaces(Protocol):
    """A source that goes on from a mark which the vendor gave it (a delta link, a token), or from where it left a list."""

    known_places: Mapping[str, str]  # by entity: the marks that are stored
    # By entity: the marks after what the last `read` yielded to its end; "" drops one. They are stored with the records.
    places: dict[str, str]


@runtime_checkable
class ReadsByKey(Protocol):
    """A source that can read single records again: what a webhook hinted at, what is about to be carried."""

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        """Yield these records as they are now, with their children; the absent ones as tombstones."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook as it arrived, its address below the system's own already taken off."""

    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, slots=True)
class Hint:
    """A webhook's word that a record may have changed. `source_id` "": some record of the entity."""

    entity: str
    source_id: str = ""


class Forged(Exception):
    """A webhook that does not prove where it comes from: a wrong token, a signature that does not fit."""


@runtime_checkable
class HearsEvents(Protocol):
    """A system that sends webhooks. They are hints to read again, and never data."""

    def hear(self, delivery: Delivery) -> Sequence[Hint]:
        """What the webhook hints at; empty for what concerns us nothing. Sends nothing.

        Raises Forged where the vendor's own proof fails, ValueError for a body that is not the vendor's.
        The secret of the address was compared before.
        """
        ...


@runtime_checkable
class SignsForEvents(Protocol):
    """A vendor that takes a webhook for delivered only when the answer says so in its own words."""

    receipt: ClassVar[tuple[str, str]]  # media type and body


@runtime_checkable
class CountsEntities(Protocol):
    """A source that counts: ids are compared only where a count differs from what is stored."""

    def counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        """How many living records there are, in a request or two; entities it cannot count are missing."""
        ...


@runtime_checkable
class MeetsAll(Protocol):
    """A source that looks for changes by going through all there is: whose keys those are need not be asked once more."""

    def met(self, entity: str) -> Sequence[str] | None:
        """The keys that the last read of the entity met, if it met every one that lives; given once, then forgotten."""
        ...


@runtime_checkable
class ChecksFields(Protocol):
    """A system that is asked for single fields: told which ones the mapping names, it checks that they are there."""

    fields_read: Mapping[str, Sequence[str]]  # by entity, the vendor's names
    fields_written: Mapping[str, Sequence[str]]  # by kind
    mapping_file: str  # where a person corrects them, in messages


@runtime_checkable
class AssignsKeys(Protocol):
    """A target that numbers its records itself: what we write bears our key in a reference that can be searched.

    Everywhere in the calls of `Target` a key is ours (a UUID). Bodies name other records by the vendor's keys: whoever
    sends puts these in before. `read` tells in `Record.our_key` which records bear a key of ours.
    """

    # By kind and our keys: the vendor's, of those that are known. Set before the first call; until then nothing is known.
    known_keys: Callable[[str, Sequence[str]], Mapping[str, str]]

    def key_of(self, kind: str, body: Mapping[str, Any]) -> str:
        """The vendor's own key of a record that was created or found."""
        ...


@dataclass(frozen=True, slots=True)
class Lock:
    """A period that accounting has closed: nothing dated up to and including `until` may be written."""

    until: date
    organization: str = ""  # the vendor's key of one of our legal entities; "" is all of them


@runtime_checkable
class LocksPeriods(Protocol):
    """A target that can be asked which periods are closed before anything is sent there."""

    def locks(self) -> Sequence[Lock]:
        """The locks in force. Raises SourceError; Refused where the rights to read them are missing."""
        ...


@runtime_checkable
class Unposts(Protocol):
    """A target whose posted documents are taken back to drafts before they are changed."""

    def unpost(self, kind: str, key: str) -> None:
        """Take the posting of a document back. Raises as `Target.post`."""
        ...


@runtime_checkable
class KnowsItsShape(Protocol):
    """A target that publishes what records it has and with which fields.

    One whose records show every field of theirs, empty ones too, says so by `rows_are_whole = True`; one that
    refuses to read what it does not publish gives the code of that refusal in `unpublished`.
    """

    def shape(self) -> Mapping[str, Mapping[str, str]]:
        """By entity: its fields and the vendor's type of each; table parts as `Part/Field`. Raises SourceError."""
        ...


Rows = Sequence[tuple[str, Mapping[str, Any]]]  # of a write: key and body


@dataclass(frozen=True, slots=True)
class Entered:
    """A living record of the target that is what was to be created: by tax number and branch, not by our key."""

    key: str  # the vendor's
    name: str
    tax_number: str
    branch: str = ""  # where it has one (KPP)


@runtime_checkable
class SearchesBeforeCreate(Protocol):
    """A target where somebody may have entered by hand, since it was read, what is about to be created there."""

    def entered(self, kind: str, rows: Rows) -> Mapping[str, Entered]:
        """By our key the record that has the tax number of its body, and its branch or none; in as few requests as possible.

        Two records of one number are the same where one of the two has no branch. Records that bear the very key, deleted
        and inactive ones are no such records. Empty for a kind that is not searched so. Raises SourceError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Authorship:
    """Where records of accounting say who entered them, and when: keys, inner ones behind a dot; the first that is filled
    counts. A connector's module names it `AUTHORSHIP`; where it has none, accounting does not tell."""

    by: tuple[str, ...] = ()
    at: tuple[str, ...] = ()


@runtime_checkable
class ShowsFollowers(Protocol):
    """A target that tells which documents correct another one or take it back, as it is there now."""

    # By entity of a correction or return: the paths of its payload under which the mapping reads what it follows; of a payment
    # those of the returns that it uses up. Set before the first call; of entities that are not named nothing is told.
    base_paths: Mapping[str, Sequence[str]]

    def followers(self, kind: str, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """By our key of a document the keys of the corrections and returns of it that count in the books (posted, not marked for
        deletion); ours, where they bear one, else the vendor's. In as few requests as possible. Raises SourceError."""
        ...


@runtime_checkable
class CreatesMany(Protocol):
    """A target that creates many records in one request."""

    def create_many(self, kind: str, rows: Rows) -> Sequence[Written | SourceError]:
        """As `create`, with each row's own outcome, in order; raises nothing of these itself."""
        ...


@runtime_checkable
class CreatesInBatches(Protocol):
    """A target that says which records go together, so that the batches of the next chunk can follow without a pause."""

    def batches(self, kind: str, rows: Rows) -> Sequence[Sequence[int]]:
        """The places of the rows of each batch, in the order in which the batches should leave; each place once."""
        ...

    def create_batch(self, kind: str, rows: Rows) -> Sequence[Written | SourceError]:
        """As `create_many`, in one request."""
        ...


@runtime_checkable
class UpdatesMany(Protocol):
    """A target that updates many records in one request."""

    def update_many(
        self, kind: str, rows: Rows, versions: Sequence[str] = ()
    ) -> Sequence[Written | SourceError]:
        """As `update`, with each row's own outcome, in order; raises nothing of these itself.

        `versions`: of each row the one that we know, by which a stale one is a Conflict; empty where none is known.
        """
        ...
