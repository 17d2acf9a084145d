"""The exchange folder: files written whole or not at all, and read only when nobody writes them any more."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Final

from resources.accounting.onec_files.xml import MAX_BYTES

MAX_FILES: Final = 10_000
TEMPORARY: Final = ".sverka-"  # how our unfinished files begin; nobody reads a name with a dot


class FileError(ValueError):
    """A file that cannot be taken as it is. `retriable`: waiting may be enough."""

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable


def write(path: Path, content: bytes) -> None:
    """Put a file into its place at once: under a temporary name, on the disk, then renamed. Raises OSError."""
    temporary = path.with_name(f"{TEMPORARY}{os.urandom(6).hex()}-{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def found(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Files of these names, oldest first; lock files and unfinished uploads are passed over. Raises FileError."""
    if not folder.is_dir():
        raise FileError(f"the folder {folder} does not exist or may not be read; create it", retriable=True)
    paths: dict[Path, tuple[int, str]] = {}
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path.name.startswith((".", "~")) or path.suffix.lower() in (".tmp", ".part", ".filepart"):
                continue
            with suppress(FileNotFoundError):
                if path.is_file():
                    paths[path] = path.stat().st_mtime_ns, path.name
            if len(paths) > MAX_FILES:
                raise FileError(
                    f"more than {MAX_FILES} files in {folder}; move those already taken elsewhere"
                )
    return sorted(paths, key=lambda path: paths[path])


def read(path: Path, *, now: float, settle_seconds: float) -> tuple[bytes, bool]:
    """A file's content, unpacked, and whether it rests: what changed a moment ago may still grow.

    Raises FileError for one that is too large, packed wrongly, or gone.
    """
    try:
        before = path.stat()
        if before.st_size > MAX_BYTES:
            raise FileError(
                f"it is larger than {MAX_BYTES >> 20} MB; let the base send fewer records at once"
            )
        content = path.read_bytes()
        after = path.stat()
    except OSError as error:
        raise FileError(f"it cannot be read ({error.strerror})", retriable=True) from None
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    rests = same and now - after.st_mtime >= settle_seconds
    if path.suffix.lower() == ".zip":
        content = _unpacked(content, rests)
    return content, rests


def _unpacked(content: bytes, rests: bool) -> bytes:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            inner = [info for info in archive.infolist() if info.filename.lower().endswith(".xml")]
            if len(inner) != 1:
                raise FileError(f"the archive holds {len(inner)} XML files, not one")
            if inner[0].file_size > MAX_BYTES:
                raise FileError(f"it unpacks to more than {MAX_BYTES >> 20} MB; it was not unpacked")
            with archive.open(inner[0]) as file:
                out = file.read(MAX_BYTES + 1)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise FileError(f"the archive cannot be unpacked ({error})", retriable=not rests) from None
    if len(out) > MAX_BYTES:
        raise FileError(f"it unpacks to more than {MAX_BYTES >> 20} MB; it was not read")
    return out
