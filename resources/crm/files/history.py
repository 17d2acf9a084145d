"""What is known of the contents that a table's files had: what is news, what came before, what was replaced.

A content is told by its hash, whatever its file is called or stamped. It counts from the time at which it
was loaded first: a copy of it, or a file touched, says nothing new. What replaced it stays newer than it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from resources.connector import Change
from resources.crm.files.layout import UnreadableError


@dataclass(frozen=True, slots=True)
class Standing:
    """How the content of a file stands to those loaded before."""

    news: bool
    name: str  # the file that it was first: for news the file itself
    stamp: datetime  # the time that its rows carry
    place: int  # in the order of loading; all news share the last one
    replaced: bool = False  # its file has had another content since


class History:
    """The contents of one table loaded so far, latest last (`Change.source_id` is the file's name)."""

    def __init__(self, entity: str, loaded: Sequence[Change], *, snapshot: bool, allow_restore: bool) -> None:
        self.entity, self.snapshot, self.allow_restore = entity, snapshot, allow_restore
        self._place = {change.version: place for place, change in enumerate(loaded)}
        self._loaded = loaded
        # A snapshot has one file at a time, whatever it is called.
        self._latest = {"" if snapshot else change.source_id: change for change in loaded}

    def standing(self, name: str, version: str, modified_at: datetime) -> Standing:
        """Say how a file with this content stands.

        Raises UnreadableError for a content put back after another one of the same file: its rows are
        older than what is stored, so they are taken only where `allow_restore` says that it is meant.
        """
        latest = self._latest.get("" if self.snapshot else name)
        place = self._place.get(version)
        if place is not None and latest is not None and latest.version != version and not self.allow_restore:
            first = self._loaded[place]
            since = f" of {first.modified_at:%Y-%m-%d %H:%M} UTC" if first.modified_at else ""
            raise UnreadableError(
                f"it holds again what {first.source_id or 'an earlier file'}{since} held, which"
                f" {latest.source_id or 'a later file'} has replaced since; nothing of it was taken",
                "drop the newest export again, or, if the old one is put back on purpose, set"
                f" `allow_restore` of {self.entity} until it is read",
            )
        if place is None or (latest is not None and latest.version != version):
            # A file with a new content corrects what it held before, however old its stamp.
            before = latest.modified_at if latest is not None else None
            return Standing(True, name, max(modified_at, before or modified_at), len(self._loaded))
        first = self._loaded[place]
        now = self._latest["" if self.snapshot else first.source_id]
        return Standing(
            False,
            first.source_id or name,
            first.modified_at or modified_at,
            place,
            replaced=now.version != version and bool(first.source_id),
        )
