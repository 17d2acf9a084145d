"""Where the stand-ins keep their records: dictionaries in memory, journalled so that a killed one goes on.

Every put and delete is one JSON line in `journal.jsonl`, handed to the operating system before the call
returns. A process that was killed therefore restarts where it was (a machine that lost power may not: the
journal is not fsynced, these are stand-ins). A torn last line is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

Record = dict[str, Any]
"""One stored record: anything JSON can say. Put it again after changing it: a change in place is not seen."""

JOURNAL = "journal.jsonl"
COUNTERS = "counters"
_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode_line = msgspec.json.Decoder(list[Any]).decode


class Collection(MutableMapping[str, Record]):
    """Records of one kind by key, in insertion order. Plain reads are those of a dictionary."""

    def __init__(self, name: str, store: Store) -> None:
        self.name = name
        self._store = store
        self._rows: dict[str, Record] = {}

    def put(self, key: str, value: Record) -> None:
        self._rows[key] = value
        self._store._append([self.name, key, value])

    def delete(self, key: str) -> None:
        """Drop the record of `key`. Raises KeyError when there is none."""
        del self._rows[key]
        self._store._append([self.name, key])

    def __getitem__(self, key: str) -> Record:
        return self._rows[key]

    def __setitem__(self, key: str, value: Record) -> None:
        self.put(key, value)

    def __delitem__(self, key: str) -> None:
        self.delete(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows


class Store:
    """All collections of one sandbox. `folder=None` keeps them in memory only.

    `Store(folder)` starts with what the journal of that folder holds; `load` is what does it.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._collections: dict[str, Collection] = {}
        self._journal: BinaryIO | None = None
        self._pending: list[bytes] | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.load()
            self._journal = (folder / JOURNAL).open("ab")

    def collection(self, name: str) -> Collection:
        found = self._collections.get(name)
        if found is None:
            found = self._collections[name] = Collection(name, self)
        return found

    def counter(self, name: str) -> int:
        """Next number of a sequence, from 1; never given twice, not even after a restart."""
        counters = self.collection(COUNTERS)
        number = int(counters.get(name, {"last": 0})["last"]) + 1
        counters.put(name, {"last": number})
        return number

    def load(self) -> int:
        """Replay the journal into memory and return how many lines were replayed.

        A last line without its newline is the mark of a kill in mid-write: it is cut off the file.
        """
        if self.folder is None or not (self.folder / JOURNAL).exists():
            return 0
        lines = good = 0
        with (self.folder / JOURNAL).open("rb") as journal:
            for line in journal:
                if not line.endswith(b"\n"):
                    break
                self._replay(_decode_line(line))
                lines += 1
                good += len(line)
        with (self.folder / JOURNAL).open("r+b") as journal:
            journal.truncate(good)
        return lines

    @contextmanager
    def together(self) -> Iterator[None]:
        """Collect the journal lines of a block and write them at once at its end (also when it raises)."""
        if self._pending is not None:
            yield
            return
        self._pending = []
        try:
            yield
        finally:
            lines, self._pending = self._pending, None
            self._write(b"".join(lines))

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _append(self, entry: list[Any]) -> None:
        if self.folder is None:
            return
        line = _encode(entry) + b"\n"
        if self._pending is None:
            self._write(line)
        else:
            self._pending.append(line)

    def _write(self, data: bytes) -> None:
        if self._journal is not None and data:
            self._journal.write(data)
            self._journal.flush()

    def _replay(self, entry: list[Any]) -> None:
        rows = self.collection(entry[0])._rows
        if len(entry) == 3:
            rows[entry[1]] = entry[2]
        else:
            rows.pop(entry[1], None)
