"""The connection of a base that is reached through folders, checked before anything is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from resources.accounting.onec_files.commerceml import SPACES
from resources.accounting.onec_files.payments import PATTERNS
from resources.connection import DAY, number, switch
from resources.connector import SourceError

OPTIONS: Final = {
    "exchange", "state", "us", "base", "format", "version", "commerceml_out", "commerceml_in",
    "commerceml_version", "statements", "statement_files", "payments", "timezone", "settle_seconds",
    "read_back", "patience", "posted_only", "concurrency", "every_seconds",
}  # fmt: skip
VERSIONS: Final = re.compile(r"1\.\d{1,2}")


@dataclass(frozen=True, slots=True)
class Settings:
    """A connection as data; see docs/connectors/onec_files.md for each key."""

    exchange: Path | None = None
    state: Path | None = None
    us: str = ""
    base: str = ""
    format: Literal["enterprise_data", "commerceml"] = "enterprise_data"
    version: str = "1.8"
    commerceml_out: Path | None = None
    commerceml_in: Path | None = None
    commerceml_version: str = "2.05"
    statements: Path | None = None
    statement_files: tuple[str, ...] = PATTERNS
    payments: Literal["base", "statements"] = "base"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Moscow"))
    settle_seconds: float = 5
    read_back: Literal["told", "confirmed"] = "told"
    patience: int = 2
    posted_only: bool = True

    @classmethod
    def read(cls, system: str, given: Mapping[str, Any]) -> Settings:
        """Raises SourceError naming the option that is unknown, missing or wrong."""
        given = {key: value for key, value in given.items() if value not in (None, "")}
        if unknown := set(given) - OPTIONS:
            raise SourceError(
                f"{system}: the connection has no option {', '.join(sorted(unknown))}; remove it"
            )
        paths = {
            name: Path(str(given[name])).expanduser()
            for name in ("exchange", "state", "commerceml_out", "commerceml_in", "statements")
            if name in given
        }
        two_ways = bool(paths.keys() & {"exchange", "commerceml_out", "commerceml_in"})
        if not two_ways and "statements" not in paths:
            raise SourceError(f"{system}: name a folder: `exchange`, `commerceml_out` or `statements`")
        if two_ways and "state" not in paths:
            raise SourceError(
                f"{system}: the connection lacks `state`, a folder of our own for the numbers of messages; add it,"
                " on a local disk and in the backups"
            )
        if "exchange" in paths and not (given.get("us") and given.get("base")):
            raise SourceError(
                f"{system}: `us` and `base` are the codes of the two nodes of the exchange, as in the name of the"
                " file Message_<base>_<us>.xml; add them"
            )
        chosen: dict[str, str] = {
            "format": _one(system, given, "format", "enterprise_data", "commerceml"),
            "payments": _one(
                system,
                given,
                "payments",
                "statements" if "statements" in paths else "base",
                "base",
                "statements",
            ),
            "read_back": _one(system, given, "read_back", "told", "confirmed"),
        }
        version, cml = str(given.get("version", "1.8")), str(given.get("commerceml_version", "2.05"))
        if not VERSIONS.fullmatch(version):
            raise SourceError(f"{system}: `version` is {version!r}; EnterpriseData has versions like 1.8")
        if cml not in SPACES:
            raise SourceError(f"{system}: `commerceml_version` is {cml!r}; there are {', '.join(SPACES)}")
        try:
            zone = ZoneInfo(str(given.get("timezone", "Europe/Moscow")))
        except (ZoneInfoNotFoundError, ValueError):
            raise SourceError(
                f"{system}: {given['timezone']!r} is no IANA time zone; write Europe/Moscow"
            ) from None
        names = given.get("statement_files", PATTERNS)
        return cls(
            **paths,  # type: ignore[arg-type]
            **chosen,  # type: ignore[arg-type]
            us=str(given.get("us", "")),
            base=str(given.get("base", "")),
            version=version,
            commerceml_version=cml,
            statement_files=(names,) if isinstance(names, str) else tuple(names),
            zone=zone,
            settle_seconds=number(system, given, "settle_seconds", 5, least=0, most=DAY),
            patience=number(system, given, "patience", 2, whole=True),
            posted_only=switch(system, given, "posted_only", True),
        )


def _one(system: str, given: Mapping[str, Any], name: str, default: str, *others: str) -> str:
    value = str(given.get(name, default))
    if value not in (default, *others):
        raise SourceError(
            f"{system}: `{name}` is {value!r}; it is {' or '.join(dict.fromkeys((default, *others)))}"
        )
    return value
