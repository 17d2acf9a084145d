"""What `sverka sources check` says of the folders of a base."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from resources.connector import Finding, SourceError

if TYPE_CHECKING:
    from resources.accounting.onec_files.connector import OneCFiles


def findings(base: OneCFiles) -> list[Finding]:
    """Each folder, what could not be taken, the numbers, and what waits. Never raises for what it reports."""
    settings, journal = base.settings, base.journal
    out = []
    for name in ("exchange", "commerceml_out", "commerceml_in"):
        path: Path | None = getattr(settings, name)
        if path is not None:
            out.append(_folder(name, path, writable=name != "commerceml_in"))
    if all(finding.ok for finding in out):
        try:
            base.exchange.take()
        except SourceError as error:
            out.append(Finding("files of the base", False, str(error), "mend what the message names"))
    if settings.exchange is not None:
        heard, sent = journal.number("received"), journal.number("sent")
        message = f"taken up to {heard}; sent up to {sent}, confirmed up to {journal.number('answered')}"
        out.append(
            Finding(
                "messages",
                bool(heard),
                message,
                "" if heard else "run the exchange in 1C: it has written nothing yet",
            )
        )
        if journal.waiting():
            told = f"{journal.waiting()} records wait for the base to confirm them"
            out.append(Finding("under way", True, told))
        versions = journal.note("versions").split()
        if versions and settings.version not in versions:
            out.append(
                Finding(
                    "format",
                    False,
                    f"the base does not read EnterpriseData {settings.version}, only {', '.join(versions)}",
                    "set `version` to one of them",
                )
            )
        missing = [name for name in ("organization", "currency") if not journal.count(name)]
        if heard and missing:
            out.append(
                Finding(
                    "catalogues",
                    False,
                    f"the base has told no {' and no '.join(missing)}, so no document can name them",
                    "let it send its catalogues: in 1C register all data for this exchange",
                )
            )
    if base.statements is not None:
        out += base.statements.check()
    return out


def _folder(name: str, path: Path, *, writable: bool) -> Finding:
    if not path.is_dir():
        return Finding(name, False, f"the folder {path} does not exist", f"create it, or correct `{name}`")
    if not os.access(path, os.R_OK | (os.W_OK if writable else 0)):
        return Finding(
            name,
            False,
            f"the folder {path} may not be {'written' if writable else 'read'}",
            "give us the right",
        )
    return Finding(name, True, f"{path} is there")
