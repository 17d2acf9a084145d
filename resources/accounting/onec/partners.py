"""Bases that keep apart whom we sell to (партнёр) and who signs and pays (контрагент).

We plan counterparties. The partner of one that we create is created before it, under a key computed from its own, so
that a repeat meets the same record. Documents name both: the partner is that of their counterparty, as the base says.

A profile says how, under `partners`: `entity`; `field`, which names the partner; `of`, the field of a document that
names its counterparty; `copied`, by field of the partner the counterparty's; `constant`, what every partner gets.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from resources.accounting.onec import odata
from resources.connector import Exists, Refused

if TYPE_CHECKING:
    from resources.accounting.onec.connector import OneC

PARTY = "counterparty"


class Partners:
    """The partners of one base. Thread-safe."""

    def __init__(self, base: OneC) -> None:
        self.base = base
        self._known: dict[str, str] = {}  # by counterparty
        self._lock = threading.Lock()

    @property
    def rule(self) -> Mapping[str, Any]:
        return self.base.profile.partners

    def for_new(self, kind: str, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body to create, with its partner, who is there by then. Raises as `Target.create`."""
        if kind != PARTY or not self.rule or body.get(self.rule["field"]):
            return self.of_party(kind, body)
        partner = partner_key(key)
        copied = {theirs: body[ours] for theirs, ours in self.rule["copied"].items() if body.get(ours)}
        with contextlib.suppress(Exists):  # by an earlier try
            self.base.send_new(self.rule["entity"], partner, {**self.rule.get("constant", {}), **copied})
        return {**body, self.rule["field"]: partner}

    def of_party(self, kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body of a document, with the partner of its counterparty. Raises Refused where that has none."""
        party = str(body.get(self.rule["of"], "")) if self.rule else ""
        if not party or body.get(self.rule["field"]):
            return body
        return {**body, self.rule["field"]: self._of(kind, party)}

    def _of(self, kind: str, party: str) -> str:
        with self._lock:
            if party not in self._known:
                held = self.base.find(PARTY, [party]).get(party, {})
                partner = str(held.get(self.rule["field"], ""))
                if partner in ("", odata.EMPTY_REF):
                    raise Refused(
                        f"{self.base.system}: the counterparty {held.get('Description', party)} of this {kind} has "
                        "no partner (партнёр); choose one in its card in 1C",
                        code="no_partner",
                    )
                self._known[party] = partner
            return self._known[party]


def partner_key(party: str) -> str:
    """The key of the partner that we create with a counterparty."""
    return str(uuid.uuid5(uuid.UUID(party), "partner"))
