"""The conversation with the base: take what it wrote, tell it what it has not confirmed.

Taking: a message whose number was taken before is no news; a lower number with other contents is an error (the base
was restored from a copy, or two bases write into one folder). Telling: a new message is made when a record was not in
any message yet, or when the base is to be told that we took its own; it holds everything unconfirmed. A message
that was lost from the folder is written again, byte for byte.

Window: once the base answered for a part of what is under way, nothing new goes out until it did for the rest. Else
a steady flow of documents would never let `find` answer for all of a kind at once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from resources.accounting.onec_files import commerceml, enterprise_data
from resources.accounting.onec_files.enterprise_data import ForeignMessage, Head, Told
from resources.accounting.onec_files.folder import FileError, found, read, write
from resources.accounting.onec_files.journal import Journal
from resources.accounting.onec_files.settings import Settings
from resources.accounting.onec_files.xml import XmlError, parse
from resources.connector import SourceError

MAX_UNCONFIRMED: Final = 20_000  # records under way; more wait for the base


class Exchange:
    """Both folders of one base. Thread-safe through the journal's transactions."""

    def __init__(
        self, system: str, settings: Settings, journal: Journal, clock: Callable[[], float] = time.time
    ) -> None:
        self.system, self.settings, self.journal, self.clock = system, settings, journal, clock

    # ---- in ---------------------------------------------------------------------------------------

    def take(self) -> None:
        """Take everything new in the folders, then tell the base that we did.

        Raises SourceError when something could not be taken; the rest was.
        """
        failures: list[SourceError] = []
        for path, take in [*self._messages(failures), *self._answers(failures)]:
            try:
                content, rests = read(path, now=self.clock(), settle_seconds=self.settings.settle_seconds)
            except FileError as error:
                failures.append(self._failed(path, str(error), retriable=error.retriable))
                continue
            digest = hashlib.sha256(content).hexdigest()
            if self.journal.taken(digest):
                continue
            try:
                take(path, content, digest)
            except XmlError as error:
                waits = error.cut and not rests
                remedy = "the next read takes it when it is whole" if waits else "let the base write it again"
                failures.append(self._failed(path, f"{error}; {remedy}", retriable=waits))
            except ForeignMessage as error:
                failures.append(self._failed(path, f"{error}; put it where it belongs"))
            except SourceError as error:
                failures.append(error)
        if self.settings.exchange is not None:
            self.tell()
        if failures:
            raise SourceError(
                "\n".join(str(error) for error in failures),
                retriable=all(error.retriable for error in failures),
            )

    def _messages(
        self, failures: list[SourceError]
    ) -> Iterable[tuple[Path, Callable[[Path, bytes, str], None]]]:
        if self.settings.exchange is None:
            return ()
        name = f"Message_{self.settings.base}_{self.settings.us}"
        paths = self._found(self.settings.exchange, (f"{name}.xml", f"{name}.zip"), failures)
        return [(path, self._take_message) for path in paths]

    def _answers(
        self, failures: list[SourceError]
    ) -> Iterable[tuple[Path, Callable[[Path, bytes, str], None]]]:
        if self.settings.commerceml_in is None:
            return ()
        paths = self._found(self.settings.commerceml_in, ("*.xml", "*.zip"), failures)
        return [(path, self._take_answer) for path in paths]

    def _found(self, folder: Path, patterns: Sequence[str], failures: list[SourceError]) -> list[Path]:
        try:
            return found(folder, patterns)
        except FileError as error:
            failures.append(SourceError(f"{self.system}: {error}", retriable=error.retriable))
            return []

    def _take_message(self, path: Path, content: bytes, digest: str) -> None:
        head, told = enterprise_data.read(parse(content), self.settings.base, self.settings.us)
        journal = self.journal
        with journal.writing():
            if journal.taken(digest):  # by another process, meanwhile
                return
            before = journal.number("received")
            if 0 < head.number <= before:
                raise self._failed(
                    path,
                    f"it is message {head.number}, and {before} was taken before: the base was restored from a copy, or"
                    " another base writes here. Nothing of it was taken; let the base send everything anew under"
                    f" numbers above {before}, or set up the exchange again with an empty `state`",
                )
            self._confirm(head.received)
            if head.number:
                journal.set("received", head.number)
                journal.next("messages")
            if head.versions:
                journal.keep_note("versions", " ".join(head.versions))
            self._keep(told)
            journal.take(digest, head.number)

    def _confirm(self, received: int) -> None:
        journal = self.journal
        answered, sent = journal.number("answered"), journal.number("sent")
        if received > sent:  # our journal was lost, and the base remembers
            journal.send_again()
            journal.set("sent", received)
        if received > answered:
            journal.set("answered", received)
            journal.confirmed(answered, received)
        if not journal.waiting():
            journal.set("opened", journal.number("sent") + 1)

    def _take_answer(self, path: Path, content: bytes, digest: str) -> None:
        told = list(commerceml.read(parse(content)))
        with self.journal.writing():
            if self.journal.taken(digest):
                return
            self.journal.next("answers")
            self._keep(told)
            self.journal.take(digest, 0)

    def _keep(self, told: Sequence[Told]) -> None:
        now, answered = datetime.fromtimestamp(self.clock(), UTC), self.journal.number("answered")
        for one in told:
            label = enterprise_data.label(one.body)
            if not one.key:
                name = str(one.body.get(enterprise_data.OBJECT) or one.entity)
                self.journal.set_apart(one.entity, label, name, one.body, now)
                continue
            self.journal.tell(one.entity, one.key, one.body, deleted=one.deleted, answered=answered, at=now)
            if label:
                self.journal.mended(one.entity, label)

    def _failed(self, path: Path, message: str, *, retriable: bool = False) -> SourceError:
        return SourceError(f"{self.system}: {path.name}: {message}", retriable=retriable)

    # ---- out --------------------------------------------------------------------------------------

    def closed(self) -> str:
        """Why nothing new may go out now; empty where it may."""
        journal, waiting = self.journal, self.journal.waiting()
        if waiting >= MAX_UNCONFIRMED:
            return f"{waiting} records wait for the base to confirm them; run the exchange in 1C"
        patience = self.settings.patience if self.settings.read_back == "told" else 0
        if untold := journal.untold(patience):
            return f"the base answered, and not yet for {untold} records; new ones go when it did. Run the exchange in 1C"
        # `opened` is 0 before the first message, and so is `answered`.
        if waiting and journal.number("answered") >= max(journal.number("opened"), 1):
            return (
                f"the base confirmed our messages up to {journal.number('answered')}, and {waiting} records of later ones"
                " wait; new ones go when these are confirmed. Run the exchange in 1C"
            )
        return ""

    def tell(self) -> None:
        """Write the message that the base must find. Raises SourceError where the folder cannot be written."""
        assert self.settings.exchange is not None
        journal = self.journal
        with journal.writing():
            received = journal.number("received")
            if journal.unsent() or received > journal.number("acknowledged"):
                number = journal.number("sent") + 1
                journal.number_message(number)
                journal.keep_outgoing(number, self._message(number, received))
                journal.set("sent", number)
                journal.set("acknowledged", received)
        path = self.settings.exchange / f"Message_{self.settings.us}_{self.settings.base}.xml"
        with journal.writing():  # one writer at a time: an older message must not follow a newer one
            outgoing = journal.outgoing()
            if outgoing is None:
                return
            number, content = outgoing
            if journal.number("written") >= number and (path.exists() or not journal.waiting()):
                return
            self._write(path, content)
            journal.set("written", number)

    def _message(self, number: int, received: int) -> bytes:
        created = datetime.fromtimestamp(self.clock(), self.settings.zone).strftime("%Y-%m-%dT%H:%M:%S")
        head = Head(self.settings.us, self.settings.base, number, received, created)
        return enterprise_data.message(head, self.settings.version, self.journal.unconfirmed())

    def drop(self, kind: str, key: str, content: bytes) -> None:
        """Put one CommerceML document into its folder, if it is not there with the same contents."""
        assert self.settings.commerceml_out is not None
        path = self.settings.commerceml_out / f"{kind}-{key}.xml"
        try:
            if path.exists() and path.read_bytes() == content:
                return
        except OSError:
            pass
        self._write(path, content)

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write(path, content)
        except OSError as error:
            raise SourceError(
                f"{self.system}: {path} cannot be written ({error.strerror}); see that the folder is there, may be"
                " written and has room. It is written again with the next sync",
            ) from None
