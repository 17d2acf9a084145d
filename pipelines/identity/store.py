"""Clients in the warehouse: core.client_member brought up to date from what changed of core.client_profile.

The work grows with what changed: features and keys of the changed records; pairs that they are in, found by the key
index, and pairs that share a value which by now so many more or fewer records hold that it weighs otherwise; and the
components that one of those pairs, a decision or a merge in a CRM touches. What comes out is what everything at once,
from nothing, comes out as: `resolve.resolve` over the same records with the same decisions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from pipelines.identity.changed import PROFILE, take_all, take_up
from pipelines.identity.ids import Named
from pipelines.identity.membership import MEMBER, keep_the_gone, work_out
from pipelines.identity.model import load
from pipelines.identity.pairing import MODEL, pair_all, pair_changed
from pipelines.refresh import Outcome, changed_scope
from pipelines.table import tables
from resources.warehouse import Connection, trusted

MANY: Final = 1_000  # changed records, from which on it is asked whether all at once is less work
WHOLE_SHARE: Final = 0.5  # of all records; beyond it all at once is less work
# What makes a record's features and keys, a pair's outcome, a client and its id: another text of these makes all anew.
MAKERS: Final = (
    "features", "names", "around", "words", "address", "keys", "candidates", "model", "score", "rules", "cluster", "membership",
    "ids",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did: rows of core.client_member; records whose features changed, pairs that came out otherwise, ids."""

    outcome: Outcome
    records: int = 0
    pairs: int = 0
    ids: Named = field(default_factory=lambda: Named(0, 0, 0))


def refresh_identity(conn: Connection, *, everything: bool = False) -> Refreshed:
    """Bring core.client_member up to date with its profiles, people's decisions and merges in the CRMs.

    `everything`, another model, or most records changed at once: all records anew, in memory. All of it happens in the
    caller's transaction.
    """
    fingerprint = fingerprint_of(MODEL)
    known = conn.execute("select model from ops.identity_model order by used_since desc limit 1").fetchone()
    is_new = known is None or known[0] != fingerprint
    with changed_scope(conn, tables()[MEMBER], everything=everything or is_new) as scopes:
        if not scopes:
            return Refreshed(Outcome(MEMBER, 0, 0, 0))
        if is_new:
            conn.execute(
                "insert into ops.identity_model (model) values (%s)"
                " on conflict (model) do update set used_since = clock_timestamp()",
                [fingerprint],
            )
        another = known is not None and is_new
        return _refresh(conn, fingerprint, whole=everything or another or _are_most(conn, scopes))


def refresh_members(conn: Connection, *, everything: bool = False) -> Outcome:
    """As `refresh_identity`, for the road: what became of core.client_member."""
    return refresh_identity(conn, everything=everything).outcome


def _refresh(conn: Connection, fingerprint: str, *, whole: bool) -> Refreshed:
    model = load(MODEL)
    conn.execute(
        "drop table if exists pg_temp.touched;"
        " create temporary table touched (client_record_id text primary key) on commit drop;"
        " insert into touched select key from scope; analyze touched"
    )
    keep_the_gone(conn)
    if whole:
        features = take_all(conn, model)
        records = features.num_rows
        pairs = pair_all(conn, features, model, fingerprint)
        del features
    else:
        records = take_up(conn, model)
        pairs = pair_changed(conn, model, fingerprint) if records else 0
    outcome, ids = work_out(conn, fingerprint, whole=whole)
    return Refreshed(outcome, records, pairs, ids)


def _are_most(conn: Connection, scopes: int) -> bool:
    if scopes < MANY:
        return False
    row = conn.execute(trusted(f"select count(*) from {PROFILE}")).fetchone()
    return scopes > WHOLE_SHARE * (row[0] if row else 0)


@cache
def fingerprint_of(name: str) -> str:
    """Of the model and of all that applies it."""
    folder = Path(__file__).parent
    text = "".join((folder / f"{maker}.py").read_text(encoding="utf-8") for maker in MAKERS)
    return sha256((load(name).fingerprint + text).encode()).hexdigest()[:16]
