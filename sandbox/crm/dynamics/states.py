"""States of rows: what an update may move, what an action must move, and what a closed row still takes.

Quotes, orders and invoices are locked when they leave their first state ("Cannot Update a Read-Only Entity"); other
rows take updates over the API in every state, a closed opportunity too unless the option `closed` is read_only.
An opportunity is won and lost by WinOpportunity and LoseOpportunity, and reopened by PATCH of statecode 0.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from sandbox.crm.dynamics.model import DataverseError, Table, bad_request
from sandbox.crm.dynamics.space import Space
from sandbox.crm.dynamics.tables import INVOICE_STATUS
from sandbox.desk.records import Item

READ_ONLY: Final = "Cannot Update a Read-Only Entity"
_OF_STATE: Final = {"open": 0, "won": 1, "lost": 2}
_REASONS: Final = {"won": (3,), "lost": (4, 5)}


def writable_now(space: Space, table: Table, item: Item, body: dict[str, Any]) -> None:
    """Raises 400 when the row's state lets no such update through."""
    if item.deleted is not None:
        return  # a merged row is inactive and still takes updates
    moves = "statecode" in body
    if table.name == "invoice" and item.body["status"] in ("paid", "canceled") and not moves:
        raise bad_request(READ_ONLY, "")
    locked = table.name == "opportunity" and space.options.closed == "read_only"
    if locked and not moves and _outcome(space, item) != "open":
        raise bad_request(READ_ONLY, "")


def state_change(space: Space, table: Table, item: Item, body: dict[str, Any]) -> dict[str, Any]:
    """What statecode and statuscode of an update do to the desk's record."""
    state, reason = body.get("statecode"), body.get("statuscode")
    if state is None and reason is None:
        return {}
    if state is None:
        state = table.columns["statecode"].read(item)
    if state not in table.columns["statecode"].options:
        raise bad_request(f"State code is invalid or state code is valid but status code is invalid for a specified "
                          f"state code. State: {state}, Status: {reason}", "0x80048408")  # fmt: skip
    if table.name == "opportunity":
        return _reopened(space, item, state)
    if table.name == "invoice":
        status = next((s for s, (code, _) in INVOICE_STATUS.items() if code == state and s != "draft"), None)
        if status is None or (reason is not None and reason not in table.columns["statuscode"].options):
            raise bad_request(
                f"{reason} is not a valid status code for state code InvoiceState.", "0x80048408"
            )
        return {"status": status}
    return {"state": state} if table.name == "task" else {}


def closing(space: Space, item: Item, won: bool, status: Any, on: date) -> dict[str, Any]:
    """What WinOpportunity and LoseOpportunity do. Raises 400 for a closed one and for a wrong reason."""
    outcome = "won" if won else "lost"
    if _outcome(space, item) != "open":
        raise DataverseError(400, "0x80040236", "The opportunity has already been closed.")
    if status not in (-1, *_REASONS[outcome]):
        raise bad_request(f"{status} is not a valid status code for state code OpportunityState.{outcome.title()} on "
                          "opportunity.", "0x80048408")  # fmt: skip
    stage = _stage(space, item, outcome)
    return {"stage": stage, "closed_on": on} if stage is not None else {"closed_on": on}


def _reopened(space: Space, item: Item, state: int) -> dict[str, Any]:
    outcome = _outcome(space, item)
    if state == _OF_STATE[outcome]:
        return {}
    if state != 0:
        name, action = ("Won", "WinOpportunity") if state == 1 else ("Lost", "LoseOpportunity")
        raise bad_request(
            f"This message can not be used to set the state of opportunity to {name}. In order to set state of "
            f"opportunity to {name}, use the {action} message instead.", "0x80040203",
        )  # fmt: skip
    stage = _stage(space, item, "open")
    return {"closed_on": None} | ({"stage": stage} if stage is not None else {})


def _outcome(space: Space, item: Item) -> str:
    stage = space.desk.tables["stage"].get(item.body.get("stage") or 0)
    return str(stage.body["outcome"]) if stage is not None else "open"


def _stage(space: Space, item: Item, outcome: str) -> int | None:
    """The last stage of the opportunity's process with this outcome."""
    fitting = [
        stage for stage in space.desk.living("stage")
        if stage.body["pipeline"] == item.body["pipeline"] and stage.body["outcome"] == outcome
    ]  # fmt: skip
    fitting.sort(key=lambda stage: stage.body["sort"])
    return fitting[-1].number if fitting else None
