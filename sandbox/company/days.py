"""Time passes in the sales department: new deals, stage moves, changed lines, mistakes, corrections.

`pass_time` changes the company and says what happened; the same company, number and arguments always give the
same events, so a restarted sandbox replays its days.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from sandbox.company import words
from sandbox.company.growth import HELD_DEAL_DIRT, DealDraw
from sandbox.company.model import LOST_STAGES, STAGES, WON_STAGES, Company, Deal, Dirt, main_vat_rate

MAX_DAYS, MAX_NEW_DEALS = 3650, 100_000
MOVED_SHARE, LOST_OF_MOVED = 0.25, 0.15
DIRTY_OF_NEW = 0.06


class Event(NamedTuple):
    """What happened to one record. `seen` is False where the CRM does not move the modification stamp."""

    kind: str
    entity: str  # deal, client, party
    id: str
    note: str = ""
    seen: bool = True


KINDS = (
    "new_deal",
    "stage",
    "lines",
    "amount",
    "cleared",
    "deleted",
    "duplicate",
    "merged",
    "corrected",
)


def pass_time(
    company: Company, days: int, deals: int, number: int, kinds: Collection[str] = KINDS
) -> list[Event]:
    """Let `days` pass with `deals` new deals; `deals=0` leaves the sales department idle.

    `number` counts the calls and seeds them. Raises ValueError on bounds and unknown kinds.
    """
    if not 0 <= days <= MAX_DAYS:
        raise ValueError(f"days is {days}; give 0 to {MAX_DAYS}")
    if not 0 <= deals <= MAX_NEW_DEALS:
        raise ValueError(f"deals is {deals}; give 0 to {MAX_NEW_DEALS}")
    if set(kinds) - set(KINDS):
        raise ValueError(f"no such event: {', '.join(set(kinds) - set(KINDS))}; give {', '.join(KINDS)}")
    company.today += timedelta(days=days)
    if deals == 0:
        return []
    events: list[Event] = []
    for place, kind in enumerate(KINDS):
        if kind in kinds:
            rng = random.Random(f"{company.seed}:day:{number}:{place}")
            events += _HAPPEN[kind](company, rng, deals)
    return events


def _new_deals(company: Company, rng: random.Random, count: int) -> list[Event]:
    draw = DealDraw(company)
    first = max((int(key[1:]) for key in company.deals), default=0) + 1
    events = []
    for number in range(first, first + count):
        deal = draw.new(rng, number)
        company.deals[deal.id] = deal
        if rng.random() < DIRTY_OF_NEW:
            kind = rng.choice(HELD_DEAL_DIRT)[0]
            _soil(company, rng, kind, deal)
        events.append(Event("new_deal", "deal", deal.id))
    return events


def _stage_moves(company: Company, rng: random.Random, count: int) -> list[Event]:
    events = []
    for deal in _open(company):
        if rng.random() >= MOVED_SHARE or "stage_without_rule" in company.dirt_of("deal", deal.id):
            continue
        stages = STAGES[deal.pipeline]
        lost = rng.random() < LOST_OF_MOVED
        stage = stages[-1] if lost else stages[stages.index(deal.stage) + 1]
        final = stage in LOST_STAGES or stage in WON_STAGES
        rate = main_vat_rate(company.today)
        lines = tuple(replace(x, vat_rate=rate) if x.vat_rate in (20, 22) else x for x in deal.lines)
        company.deals[deal.id] = replace(
            deal, stage=stage, closed_on=company.today if final else None, lines=lines
        )
        events.append(Event("stage", "deal", deal.id, f"{deal.stage} -> {stage}"))
    return events


def _line_changes(company: Company, rng: random.Random, count: int) -> list[Event]:
    """Quantities change on some open deals, and on one that was won: there the CRM may only propose."""
    chosen = _some(rng, _open(company), 1 + count // 10)
    chosen += _some(rng, [d for d in company.deals.values() if d.stage in WON_STAGES], 1)
    events = []
    for place, deal in enumerate(chosen):
        at = rng.randrange(len(deal.lines))
        line = deal.lines[at]
        changed = replace(line, quantity=line.quantity + rng.randrange(1, 5))
        company.deals[deal.id] = replace(deal, lines=(*deal.lines[:at], changed, *deal.lines[at + 1 :]))
        note = f"line {at + 1}: quantity {line.quantity} -> {changed.quantity}"
        events.append(Event("lines", "deal", deal.id, note, seen=place % 2 == 0))
    return events


def _amount_edits(company: Company, rng: random.Random, count: int) -> list[Event]:
    return _mistakes(company, rng, "amount", "amount_mismatch")


def _cleared_fields(company: Company, rng: random.Random, count: int) -> list[Event]:
    return _mistakes(company, rng, "cleared", "client_missing")


def _deletions(company: Company, rng: random.Random, count: int) -> list[Event]:
    return _mistakes(company, rng, "deleted", "deleted")


def _duplicates(company: Company, rng: random.Random, count: int) -> list[Event]:
    free = [
        client
        for client, parties in company.clients.items()
        if len(parties) == 1
        and company.parties[parties[0]].country == "RU"
        and not company.dirt_of("client", client)
        and not company.dirt_of("party", parties[0]).keys() & {"inn_missing", "inn_checksum"}
    ]
    if not free:
        return []
    client = rng.choice(free)
    company.dirt.append(Dirt("duplicate_company", "client", client, company.clients[client][0]))
    return [Event("duplicate", "client", client)]


def _merges(company: Company, rng: random.Random, count: int) -> list[Event]:
    doubled = sorted({d.id for d in company.dirt if d.kind == "duplicate_company"}, key=lambda c: int(c[1:]))
    if not doubled:
        return []
    client = doubled[0]
    company.cleaned("duplicate_company", "client", client)
    return [Event("merged", "client", client)]


def _corrections(company: Company, rng: random.Random, count: int) -> list[Event]:
    for kinds in (("inn_checksum", "inn_missing"), ("amount_mismatch", "client_missing")):
        found = [d for d in company.dirt if d.kind in kinds]
        if found:
            dirt = found[0]
            company.cleaned(dirt.kind, dirt.entity, dirt.id)
            return [Event("corrected", dirt.entity, dirt.id, dirt.kind)]
    return []


_HAPPEN: dict[str, Callable[[Company, random.Random, int], list[Event]]] = {
    "new_deal": _new_deals,
    "stage": _stage_moves,
    "lines": _line_changes,
    "amount": _amount_edits,
    "cleared": _cleared_fields,
    "deleted": _deletions,
    "duplicate": _duplicates,
    "merged": _merges,
    "corrected": _corrections,
}


def _mistakes(company: Company, rng: random.Random, event: str, kind: str) -> list[Event]:
    clean = [deal for deal in _open(company) if not company.dirt_of("deal", deal.id)]
    chosen = _some(rng, clean, 1)
    for deal in chosen:
        _soil(company, rng, kind, deal)
    return [Event(event, "deal", deal.id, kind) for deal in chosen]


def _soil(company: Company, rng: random.Random, kind: str, deal: Deal) -> None:
    note = {
        "amount_mismatch": rng.choice(("500", "-1000", "0.40")),
        "product_unknown": rng.choice(words.UNKNOWN_PRODUCTS),
        "stage_without_rule": "UC_7T1QXK" if deal.pipeline == "0" else "C1:UC_M2P0ZD",
    }.get(kind, "")
    company.dirt.append(Dirt(kind, "deal", deal.id, note))


def _open(company: Company) -> list[Deal]:
    return [
        deal
        for deal in company.deals.values()
        if deal.closed_on is None and not company.dirt_of("deal", deal.id).keys() & {"deleted", "test_deal"}
    ]


def _some(rng: random.Random, deals: list[Deal], count: int) -> list[Deal]:
    return rng.sample(deals, min(count, len(deals)))
