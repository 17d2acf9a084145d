"""What `sverka sources check` says about a 1C base, in words that its administrator can act on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from resources.accounting.onec import odata
from resources.accounting.onec.session import FORMAT
from resources.accounting.onec.subconto import NAME as SUBCONTO
from resources.accounting.onec.subconto import TABLE as RECORDS_WITH_SUBCONTO
from resources.accounting.onec.writing import FOREIGN_KEY, NO_OWN_KEYS
from resources.connector import Exists, Finding, Lock, Refused, SourceError

if TYPE_CHECKING:
    from resources.accounting.onec.connector import OneC

log = logging.getLogger(__name__)

PROBE_KEY = "6f6c1c55-2f0e-5b58-9d0a-53766572616b"  # of the item that proves our keys are honoured
PROBE_BODY = {"Description": "Сверка: проверка ключа (не использовать)", "DeletionMark": True}
VAT_RATE = "СтавкаНДС"
MOMENTARY = ("balance", "latest")
SHOWN = 40  # characters of a value that is no date
CLOCK_SKEW = 60  # seconds between our clock and the server's that are still nothing to report
PUBLISH = (
    "in 1C: Администрирование - Синхронизация данных - Настройка автоматического REST-сервиса, tick {name}"
)


def findings(base: OneC, now: datetime | None = None) -> list[Finding]:
    """All findings, in the order in which a person would repair them. Never raises SourceError."""
    now = now or datetime.now(UTC)
    try:
        answer = base.session.get("", {"$format": FORMAT})
        published = {str(item["name"]) for item in answer.json()["value"]}
    except SourceError as error:
        return [
            Finding("connection", False, str(error), "repair the connection first; nothing else was tried")
        ]
    except (KeyError, TypeError, ValueError):
        remedy = "correct the url of the connection: it ends in /odata/standard.odata/"
        return [
            Finding("connection", False, f"{base.system}: the address answers, but not as 1C does", remedy)
        ]
    found = [Finding("connection", True, f"1C answers; {len(published)} sets are published")]
    found += _sets(base, published, now)
    found += _fields(base)
    found += [_own_keys(base), _closed(base, published), *_clock(base, dict(answer.headers), now)]
    return found


def locks(base: OneC) -> list[Lock]:
    """The dates up to which changes are forbidden, by organization where the register says so.

    A date that is set for one section of accounting or one user counts for all: that is the careful reading. What is no
    date closes nothing and is told in the log: 1C itself still refuses what it has closed.
    Raises SourceError where 1C does not publish its register of such dates, or forbids to read it.
    """
    found, odd = _dates(base)
    for sentence in odd:
        log.warning("%s: %s; it closes nothing here", base.system, sentence)
    return found


def _dates(base: OneC) -> tuple[list[Lock], list[str]]:
    """The latest date of each organization, and a sentence for every row whose date is none."""
    latest: dict[str, date] = {}
    odd: list[str] = []
    for page in base.session.walk(base.profile.closed_dates, lambda row: "", order=""):
        for _, row in page:
            body = odata.decode(row)
            said = str(body.get("ДатаЗапрета") or odata.EMPTY_DATE)
            of_organization = str(body.get("Объект_Type") or "").endswith("Catalog_Организации")
            organization = str(body.get("Объект") or "").lower() if of_organization else ""
            organization = "" if organization == odata.EMPTY_REF else organization
            try:
                day = datetime.fromisoformat(said).date()
            except ValueError:
                odd.append(f"{base.profile.closed_dates} has ДатаЗапрета {said[:SHOWN]!r}, which is no date")
                continue
            if day > date.min:  # an empty date closes nothing
                latest[organization] = max(latest.get(organization, day), day)
    return [Lock(day, organization) for organization, day in sorted(latest.items())], odd


def _sets(base: OneC, published: set[str], now: datetime) -> Iterator[Finding]:
    for place in base.places_in_use():
        entity = place.entity
        if not {place.set, place.set.removesuffix("_RecordType")} & published:
            yield Finding(entity, False, f"{place.set} is not published", PUBLISH.format(name=place.set))
            continue
        resource = base.balance_table(place, now) if place.kind in MOMENTARY else place.set
        try:
            base.session.rows(resource, {"$top": 1})
            if place.kind == "entries" and base.subconto.wanted(place):
                moment = odata.base_time(now, base.session.zone)
                base.session.rows(base.subconto.table(place, (moment, moment)), {})
            yield Finding(entity, True, f"{place.set} is published and readable")
        except SourceError as error:
            yield Finding(entity, False, str(error), f"let user {base.session.user} read {place.set}")


def _fields(base: OneC) -> Iterator[Finding]:
    try:
        shapes = base.shape()
    except SourceError as error:
        yield Finding("metadata", False, str(error), "$metadata must be readable to check names of fields")
        return
    used = {name: dict.fromkeys(fields) for name, fields in base.fields_read.items()}
    for kind, fields in base.fields_written.items():
        used.setdefault(kind, {}).update(dict.fromkeys(fields))
    for entity, wanted in (used or {k: dict.fromkeys(v) for k, v in base.profile.required.items()}).items():
        shape = shapes.get(entity)
        if shape is None or (base.profile.places[entity].kind in MOMENTARY and "/" not in shape[""]):
            continue  # of a virtual table that the base does not describe
        yield _fields_of(base, entity, list(wanted), shape)


def _fields_of(base: OneC, entity: str, wanted: Sequence[str], shape: Mapping[str, str]) -> Finding:
    words = base.profile.named
    absent = [
        name
        for name in wanted
        if name not in shape and not (name.rpartition("/")[2] in words and f"{name}_Key" in shape)
    ]
    if not absent:
        return Finding(f"{entity} fields", True, f"{shape['']} has all {len(wanted)} fields in use")
    kept_as_keys = sorted({name for name in absent if f"{name}_Key" in shape})
    remedy = f"correct the names in {base.mapping_file}, or choose the profile of this configuration"
    if any(name.endswith(VAT_RATE) for name in kept_as_keys):
        remedy = (
            f"this base keeps rates of VAT in a catalog: give the profile `named: {{{VAT_RATE}: vat_rate}}` and, "
            "under `sets`, `vat_rate: Catalog_СтавкиНДС`"
        )
    elif kept_as_keys:
        remedy = f"this base keeps them as keys: write {kept_as_keys[0]}_Key in {base.mapping_file}"
    # Alternatives that the mapping offers to several configurations are only read; a write is ignored silently.
    if sides := [name for name in absent if name.startswith(SUBCONTO)]:
        register = shape[""].removesuffix("_RecordType")
        message = (
            f"neither {shape['']} nor {register}/{RECORDS_WITH_SUBCONTO} has {', '.join(sides)}: entries would have"
            " no counterparty"
        )
        remedy = f"{PUBLISH.format(name=register)}; it must be a register of accounts with subconto"
        return Finding(f"{entity} fields", False, message, remedy)
    written = set(base.fields_written.get(entity, wanted if not base.fields_written else ()))
    message = f"{shape['']} has no {', '.join(absent)}; "
    if written.isdisjoint(absent):
        return Finding(f"{entity} fields", True, f"{message}they are read as empty", remedy)
    return Finding(f"{entity} fields", False, f"{message}1C would ignore them silently in a write", remedy)


def _own_keys(base: OneC) -> Finding:
    kind = base.profile.probe
    if not kind:
        return Finding("own keys", True, "not tried: the profile names no catalog to try it in")
    stranger = False
    said = "1C keeps the key that we choose, so that no document can be created twice"
    try:
        if base.find(kind, [PROBE_KEY]):
            return Finding("own keys", True, said)
        if not base.probe_writes:
            remedy = (
                "run the check once without `probe: false` in the connection before the first documents go"
            )
            return Finding("own keys", True, "not tried: writing is not allowed to the check", remedy)
        base.create(kind, PROBE_KEY, PROBE_BODY)
        if base.find(kind, [PROBE_KEY]):
            return Finding("own keys", True, f"{said} (tried with a {kind} marked for deletion)")
        message = "1C accepted a record with our key and does not find it under that key"
        stranger = True
    except Exists:
        return Finding("own keys", True, said)
    except Refused as error:
        message = str(error)
        stranger = error.code == FOREIGN_KEY
    except SourceError as error:
        message = f"could not be tried: {error}"
    if stranger:
        return Finding("own keys", False, message, NO_OWN_KEYS)
    remedy = f"let user {base.session.user} write {kind}; do not send documents before this is settled"
    return Finding("own keys", False, message, remedy)


def _closed(base: OneC, published: set[str]) -> Finding:
    register = base.profile.closed_dates
    if register not in published:
        return Finding(
            "closed period",
            True,
            "its date is not published: a closed period will be known only when 1C refuses a document",
            PUBLISH.format(name=register) if register else "",
        )
    try:
        found, odd = _dates(base)
    except SourceError as error:
        return Finding("closed period", False, str(error), f"let user {base.session.user} read {register}")
    if odd:
        return Finding(
            "closed period", False, "; ".join(odd[:3]), "correct the date in 1C: Даты запрета изменения"
        )
    told = ", ".join(
        f"up to {lock.until}{f' for organization {lock.organization}' if lock.organization else ''}"
        for lock in found
    )
    return Finding("closed period", True, f"changes are forbidden {told}" if told else "nothing is closed")


def _clock(base: OneC, headers: dict[str, str], now: datetime) -> Iterator[Finding]:
    zone = base.session.zone
    yield Finding(
        "time zone",
        True,
        f"times of 1C are read as {zone.key}; by that its clock shows {odata.base_time(now, zone)} now",
        "compare with the clock of the 1C server; if they differ, correct `timezone` in the connection",
    )
    stamp = {name.lower(): value for name, value in headers.items()}.get("date", "")
    try:
        skew = abs((parsedate_to_datetime(stamp) - now).total_seconds())
    except (TypeError, ValueError):
        return
    if skew > CLOCK_SKEW:
        message = f"the server's clock and ours differ by {skew:.0f} s"
        yield Finding("clock", False, message, "set both by NTP; documents near midnight get a wrong date")
