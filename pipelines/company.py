"""The company's mapping files: which folder they are in, read anew when something of them changed; and the demo company's,
which must not meet a real system."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from mappings import Mappings, load
from mappings.reader import SUFFIXES
from resources.warehouse import PROJECT

DEMO_FOLDER = PROJECT / "mappings" / "demo"
DEMO_ADDRESSES = ("SVERKA_BITRIX24_URL", "SVERKA_ONEC_URL")


def mappings_folder() -> Path:
    """The company's set-up: `SVERKA_MAPPINGS`, else the demo company's.

    A relative one that is not below the current folder is looked for in the project's.
    """
    folder = Path(os.environ.get("SVERKA_MAPPINGS") or DEMO_FOLDER)
    return folder if folder.is_dir() else PROJECT / folder


def company_mappings() -> Mappings:
    """The company's mapping files, whatever their connections still lack; checked anew only when a file or a
    variable of the environment changed: it takes longer than all else that a sensor does where nothing is new.
    Raises MappingError.
    """
    global _checked
    folder = mappings_folder()
    try:
        files = {path: path.read_bytes() for path in sorted(folder.glob("*")) if path.suffix in SUFFIXES}
    except OSError:
        return load(folder, connected=False)  # which says what is wrong with the file
    now = (folder, files, dict(os.environ))
    if _checked is None or _checked[0] != now:
        _checked = now, load(folder, connected=False)
    return _checked[1]


_checked: tuple[tuple[Path, Mapping[Path, bytes], Mapping[str, str]], Mappings] | None = None


def foreign_address(folder: Path) -> str | None:
    """A sentence where the demo company's mapping files, which approve by themselves, would meet a real system."""
    if Path(os.path.realpath(folder)) != DEMO_FOLDER:
        return None
    for name in DEMO_ADDRESSES:
        host = _host(os.environ.get(name, ""))
        if host and not _is_loopback(host):
            return (
                f"{name} names {host}, but the mapping files are the demo company's; "
                f"set SVERKA_MAPPINGS to your own folder of mapping files, or unset {name} for the demo"
            )
    return None


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""  # the connector says what is wrong with it


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
