"""What `sverka sources check` says about a SAP system, in words that its administrator can act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from resources.accounting.sap import odata
from resources.accounting.sap.entities import BILLING, LEDGER, ORDERS, PARTNERS
from resources.accounting.sap.shape import WORKED_OUT
from resources.connector import Finding, SourceError

if TYPE_CHECKING:
    from resources.accounting.sap.connector import Sap

CLOCK_SKEW = 60.0  # seconds between our clock and the server's that are nothing to report
SINGLY = ("counterparty", "product", "order", "realization", "open_item", "entry", "price", "stock")


def findings(sap: Sap, now: datetime | None = None) -> list[Finding]:
    """All findings, in the order in which a person would repair them. Never raises SourceError."""
    now = now or datetime.now(UTC)
    try:
        headers = dict(sap.session.get(ORDERS, "").headers)
    except SourceError as error:
        try:  # one service alone may be missing
            headers = dict(sap.session.get(PARTNERS, "").headers)
        except SourceError:
            remedy = "repair the connection first; nothing else was tried"
            return [Finding("connection", False, str(error), remedy)]
    found = [Finding("connection", True, f"SAP answers; {sap.session.who} is let in")]
    found += _entities(sap)
    found += [*_company(sap), *_token(sap), *_fields(sap), *_known_beforehand(sap), *_clock(headers, now)]
    return found


def _entities(sap: Sap) -> Iterator[Finding]:
    for entity in SINGLY:
        place = sap.entity_sets[entity]
        key = ",".join(place.key)
        try:
            rows = sap.session.listed(
                place.service, odata.address(place.entity_set, select=key, filter=place.where, top=1)
            ).rows
        except SourceError as error:
            yield Finding(
                entity,
                False,
                str(error),
                f"give the user the right to read {place.service}, or leave {entity} out",
            )
        else:
            said = "can be read" if rows else "can be read, is empty"
            yield Finding(entity, True, f"{place.service}/{place.entity_set} {said}")


def _company(sap: Sap) -> Iterator[Finding]:
    """Whether the ledger and the billing know our company code; a wrong one reads as empty books."""
    settings = sap.settings
    for subject, service, entity_set, where, key in (
        ("ledger", LEDGER, "GLAccountLineItem", sap.entity_sets["entry"].where, "GLAccount"),
        (
            "company code",
            BILLING,
            "A_BillingDocument",
            sap.entity_sets["realization"].where,
            "BillingDocument",
        ),
    ):
        try:
            path = odata.address(entity_set, select=key, filter=where, top=1)
            rows = sap.session.listed(service, path).rows
        except SourceError:
            continue  # told above
        named = f"company code {settings.company_code}" + (
            f", ledger {settings.ledger}" if subject == "ledger" else ""
        )
        if rows:
            yield Finding(subject, True, f"{named} has records")
        else:
            remedy = "right for empty books; else correct company_code and ledger in the connection"
            yield Finding(subject, True, f"{named} has no records", remedy)


def _token(sap: Sap) -> Iterator[Finding]:
    try:
        sap.session.try_token(ORDERS)
    except SourceError as error:
        yield Finding("writing", False, str(error), "let the proxy pass x-csrf-token and cookies")
    else:
        yield Finding(
            "writing",
            True,
            "a session for writing is given; the rights to write show with the first record of a kind",
        )


def _fields(sap: Sap) -> Iterator[Finding]:
    """Fields that the mapping names, against the metadata."""
    if not sap.fields_read and not sap.fields_written:
        return
    try:
        shapes = sap.shape()
    except SourceError as error:
        yield Finding("metadata", False, str(error), "$metadata must be readable to check names of fields")
        return
    for entity, names in {**sap.fields_read, **sap.fields_written}.items():
        known: Mapping[str, str] = shapes.get(entity, {})
        if not known:
            continue
        made = WORKED_OUT.get(entity, ())
        heads = dict.fromkeys(name.partition(".")[0].partition("[")[0] for name in names)
        absent = [name for name in heads if name not in known and name not in made]
        if absent:
            yield Finding(
                f"{entity} fields", False, f"{sap.entity_sets[entity].entity_set} has no {', '.join(absent)}",
                f"correct the names in {sap.mapping_file}, or add the custom fields (YY1_...) to the service",
            )  # fmt: skip
        else:
            yield Finding(f"{entity} fields", True, f"all {len(heads)} fields in use are there")


def _known_beforehand(sap: Sap) -> Iterator[Finding]:
    settings = sap.settings
    closed = settings.closed_until
    yield Finding(
        "closed period", True,
        f"the connection says that all is closed up to {closed}" if closed
        else "no service tells which posting periods are open: a closed one is known when SAP refuses",
        "" if closed else "give closed_until in the connection, if documents should be held before that",
    )  # fmt: skip
    yield Finding(
        "numbers", True,
        "SAP numbers customers and orders; products take the number that the mapping gives (external numbering)",
        "let SAP's administrator see that the product type of the mapping allows it (customizing, Number Ranges)",
    )  # fmt: skip
    yield Finding(
        "time zone", True, f"days and times without a zone are read as {sap.making.zone}",
        "compare with System, Status in SAP; if they differ, correct `timezone` in the connection",
    )  # fmt: skip


def _clock(headers: Mapping[str, str], now: datetime) -> Iterator[Finding]:
    stamp = {name.lower(): value for name, value in headers.items()}.get("date", "")
    try:
        skew = abs((parsedate_to_datetime(stamp) - now).total_seconds())
    except (TypeError, ValueError):
        return
    if skew > CLOCK_SKEW:
        message = f"the server's clock and ours differ by {skew:.0f} s; changes may be left unread"
        yield Finding("clock", False, message, "set both by NTP")
