"""Whether the score may decide without a person: how often it is right on this company's own payments.

Payments of which accounting, a person or their purpose says the one document that they pay whole are looked at as if nobody
knew their payer and they named no number of it: against every document there is. What comes out is kept in
ops.payment_calibration.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipelines.payments.matching import Matching
from pipelines.refresh import lock_changes
from resources.warehouse import Connection

PRECISION: Final = 0.99  # that must be shown before anything is allocated by score
MOST: Final = 20_000  # payments, the latest, that are measured on
Z: Final = 1.959964  # of an interval of 95 %

_KNOWN: Final = """
    select p.payment_key, p.amount, p.paid_on, p.purpose, p.currency_key, p.organization_key, null, null, a.document_key, o.number
    from ledger.payment p
    join (select payment_key, min(document_key) as document_key, sum(amount) as amount from ledger.allocation
          where rule in ('stated', 'person', 'reference') group by payment_key having count(*) = 1) a using (payment_key)
    join ledger.obligation o on o.document_key = a.document_key
    where a.amount = p.amount and p.paid_on is not null and p.currency_key is not null
    order by p.paid_on desc, p.payment_key limit %s
"""
_OWED: Final = """
    select o.document_key, o.amount, o.document_date, o.number, o.currency_key, o.organization_key, c.name, c.tax_number
    from ledger.obligation o
    left join core.accounting_counterparty c on c.counterparty_key = o.counterparty_key
    where o.amount > 0 and o.document_date is not null and o.currency_key is not null
"""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of `payments` whose document is known `sure` would have been allocated, `correct` of them rightly. `at_least`: the
    precision that this shows."""

    payments: int
    sure: int
    correct: int

    @property
    def at_least(self) -> float:
        return wilson(self.correct, self.sure)

    @property
    def may_decide(self) -> bool:
        return self.at_least >= PRECISION


def calibrate(conn: Connection, by: Matching) -> Calibration:
    """Measure and keep it."""
    from pipelines.payments.proposals import rows_of

    lock_changes(conn)
    known = conn.execute(_KNOWN, [MOST]).fetchall()
    documents = conn.execute(_OWED).fetchall()
    truth = {row[0]: row[8] for row in known}
    rows = rows_of([_hidden(row) for row in known], documents, by) if known else []
    sure = [row for row in rows if row["is_sure"]]
    found = Calibration(
        len(known), len(sure), sum(row["document_key"] == truth[row["payment_key"]] for row in sure)
    )
    conn.execute(
        "insert into ops.payment_calibration (model, payments, sure, correct, at_least) values (%s, %s, %s, %s, %s)",
        [by.fingerprint, found.payments, found.sure, found.correct, found.at_least],
    )
    conn.execute("insert into ops.change_log (table_name, key) values ('ops.payment_calibration', '*')")
    return found


def _hidden(row: Sequence[Any]) -> tuple[Any, ...]:
    """A payment whose purpose names the number of its document no longer."""
    numbers = {found.lstrip("0") for found in re.findall(r"\d+", row[9] or "")}
    purpose = re.sub(r"\d+", lambda found: "" if found[0].lstrip("0") in numbers else found[0], row[3] or "")
    return (*row[:3], purpose, *row[4:8])


def is_shown(conn: Connection, by: Matching) -> bool:
    """Whether the last measurement of this very model shows PRECISION."""
    row = conn.execute(
        "select at_least from ops.payment_calibration where model = %s order by measured_at desc limit 1",
        [by.fingerprint],
    ).fetchone()
    return row is not None and row[0] >= PRECISION


def wilson(right: int, of: int) -> float:
    """The lower end of Wilson's interval of 95 % for a share: 381 of 381 show 0.99, and 300 of 300 do not."""
    if not of:
        return 0.0
    share = right / of
    middle = share + Z * Z / (2 * of)
    spread = Z * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    return max(0.0, (middle - spread) / (1 + Z * Z / of))
