"""What people do in a CRM all day, drawn at random: edits, moves, deletions, merges, imports with old dates.

    said = change(desk, random.Random(7), 500)      # what was done, in the order in which it was done

The same desk, seed and count always give the same changes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.company.words import SURNAMES
from sandbox.desk.records import Desk, Item

MAX_CHANGES: Final = 10_000
LATE: Final = timedelta(minutes=4)
"""How long ago a change that becomes visible only now was stamped: a long transaction."""
RETAIL: Final = 1
"""The price list whose prices are the products' own; some CRMs show a product's price nowhere else."""
Done = dict[str, Any]


def change(desk: Desk, rng: random.Random, count: int, kinds: Collection[str] | None = None) -> list[Done]:
    """Do `count` things. Raises ValueError on unknown kinds and on a count out of bounds."""
    if not 0 <= count <= MAX_CHANGES:
        raise ValueError(f"count is {count}; give 0 to {MAX_CHANGES}")
    possible = [kind for kind in WEIGHTS if kind not in OF_ACTIVITIES or desk.traits.activities]
    wanted = [kind for kind in possible if kinds is None or kind in kinds]
    if kinds is not None and set(kinds) - set(WEIGHTS):
        raise ValueError(
            f"no such change: {', '.join(sorted(set(kinds) - set(WEIGHTS)))}; give {', '.join(WEIGHTS)}"
        )
    done: list[Done] = []
    for kind in rng.choices(wanted, [WEIGHTS[kind] for kind in wanted], k=count):
        found = _DO[kind](desk, rng)
        if found is not None:
            done.append({"kind": kind, **found})
    return done


def _some(desk: Desk, rng: random.Random, entity: str) -> Item | None:
    living = desk.living(entity)
    return rng.choice(living) if living else None


def _edit_deal(desk: Desk, rng: random.Random) -> Done | None:
    deal = _some(desk, rng, "deal")
    if deal is None:
        return None
    desk.put(
        "deal", deal.number, {**deal.body, "title": f"{deal.body['title'][:80]} ({rng.randrange(1000)})"}
    )
    return {"entity": "deal", "number": deal.number}


def _move(desk: Desk, rng: random.Random) -> Done | None:
    deal = _some(desk, rng, "deal")
    if deal is None:
        return None
    stage = rng.choice([s for s in desk.living("stage") if s.body["pipeline"] == deal.body["pipeline"]])
    closed = desk.company.today if stage.body["outcome"] != "open" else None
    desk.put("deal", deal.number, {**deal.body, "stage": stage.number, "closed_on": closed})
    return {"entity": "deal", "number": deal.number, "stage": stage.body["code"]}


def _edit_line(desk: Desk, rng: random.Random, *, touch: bool = True) -> Done | None:
    line = _some(desk, rng, "line")
    if line is None:
        return None
    desk.put("line", line.number, {**line.body, "quantity": line.body["quantity"] + rng.randrange(1, 5)})
    if touch:
        _touch(desk, line)
    return {"entity": "line", "number": line.number, "deal": line.body["deal"], "touched": touch}


def _quiet_line(desk: Desk, rng: random.Random) -> Done | None:
    """A line changes and the deal's stamp does not move."""
    return _edit_line(desk, rng, touch=False)


def _drop_line(desk: Desk, rng: random.Random) -> Done | None:
    line = _some(desk, rng, "line")
    if line is None or len(desk.children("line", line.body["deal"])) < 2:
        return None
    desk.remove("line", line.number)
    _touch(desk, line)
    return {"entity": "line", "number": line.number, "deal": line.body["deal"]}


def _add_line(desk: Desk, rng: random.Random) -> Done | None:
    line = _some(desk, rng, "line")
    if line is None:
        return None
    product = rng.choice(desk.living("product"))
    last = max(row.body["sort"] for row in desk.children("line", line.body["deal"]))
    body = {
        **line.body, "product": product.number, "name": product.body["name"], "price": product.body["price"],
        "quantity": Decimal(rng.randrange(1, 9)), "sort": last + 10,
    }  # fmt: skip
    added = desk.add("line", body)
    _touch(desk, line)
    return {"entity": "line", "number": added.number, "deal": line.body["deal"]}


def _touch(desk: Desk, line: Item) -> None:
    deal = desk.get("deal", line.body["deal"])
    if deal is not None:
        desk.put("deal", deal.number, deal.body)


def _clear(desk: Desk, rng: random.Random) -> Done | None:
    deal = _some(desk, rng, "deal")
    if deal is None:
        return None
    name = rng.choice(("contact", "source", "campaign"))
    desk.put("deal", deal.number, {**deal.body, name: None})
    return {"entity": "deal", "number": deal.number, "cleared": name}


def _delete_deal(desk: Desk, rng: random.Random) -> Done | None:
    deal = _some(desk, rng, "deal")
    if deal is None:
        return None
    desk.remove("deal", deal.number)
    return {"entity": "deal", "number": deal.number}


def _restore_deal(desk: Desk, rng: random.Random) -> Done | None:
    gone = [item for item in desk.gone("deal") if item.merged_into is None]
    if not gone:
        return None
    deal = rng.choice(gone)
    desk.restore("deal", deal.number)
    return {"entity": "deal", "number": deal.number}


def _delete_contact(desk: Desk, rng: random.Random) -> Done | None:
    contact = _some(desk, rng, "contact")
    if contact is None:
        return None
    desk.remove("contact", contact.number)
    for deal in desk.living("deal"):
        if deal.body["contact"] == contact.number:
            desk.put("deal", deal.number, {**deal.body, "contact": None})
    return {"entity": "contact", "number": contact.number}


def _merge_clients(desk: Desk, rng: random.Random) -> Done | None:
    clients = desk.living("client")
    if len(clients) < 10:
        return None
    winner, loser = rng.sample(clients, 2)
    desk.merge("client", winner.number, loser.number)
    return {"entity": "client", "number": loser.number, "into": winner.number}


def _edit_client(desk: Desk, rng: random.Random) -> Done | None:
    client = _some(desk, rng, "client")
    if client is None:
        return None
    phone = f"+7495{rng.randrange(10**6, 10**7)}"
    desk.put("client", client.number, {**client.body, "phone": phone})
    return {"entity": "client", "number": client.number}


def _edit_contact(desk: Desk, rng: random.Random) -> Done | None:
    contact = _some(desk, rng, "contact")
    if contact is None:
        return None
    desk.put("contact", contact.number, {**contact.body, "last_name": rng.choice(SURNAMES)})
    return {"entity": "contact", "number": contact.number}


def _edit_product(desk: Desk, rng: random.Random) -> Done | None:
    product = _some(desk, rng, "product")
    if product is None:
        return None
    price = product.body["price"] + rng.randrange(1, 50)
    desk.put("product", product.number, {**product.body, "price": price})
    for row in desk.children("price", product.number):
        if row.body["price_list"] == RETAIL:
            desk.put("price", row.number, {**row.body, "price": price})
    return {"entity": "product", "number": product.number}


def _import(desk: Desk, rng: random.Random, at: datetime | None = None) -> Done | None:
    """A new deal; an import gives it stamps of long ago where the CRM lets it."""
    like = _some(desk, rng, "deal")
    if like is None:
        return None
    stamp = at or (desk.clock() - timedelta(days=rng.randrange(60, 300)) if desk.traits.backdates else None)
    deal = desk.add("deal", {**like.body, "title": f"Импорт {rng.randrange(10**6)}"}, at=stamp)
    for row in desk.children("line", like.number):
        desk.add("line", {**row.body, "deal": deal.number}, at=stamp)
    return {"entity": "deal", "number": deal.number, "at": stamp.isoformat() if stamp else None}


def _late(desk: Desk, rng: random.Random) -> Done | None:
    """A change that becomes visible now, with the stamp of some minutes ago."""
    deal = _some(desk, rng, "deal")
    if deal is None:
        return None
    body = {**deal.body, "title": f"{deal.body['title'][:80]} late {rng.randrange(1000)}"}
    desk.put("deal", deal.number, body, at=desk.clock() - LATE)
    return {"entity": "deal", "number": deal.number}


def _add_client(desk: Desk, rng: random.Random) -> Done | None:
    like = _some(desk, rng, "client")
    if like is None:
        return None
    body = {
        **like.body,
        "name": f"ООО «Новый клиент {rng.randrange(10**6)}»",
        "inn": "",
        "kpp": "",
        "ogrn": "",
    }
    client = desk.add("client", body)
    return {"entity": "client", "number": client.number}


def _invoice(desk: Desk, rng: random.Random) -> Done | None:
    invoice = _some(desk, rng, "invoice")
    if invoice is None:
        return None
    desk.put("invoice", invoice.number, {**invoice.body, "status": "paid"})
    return {"entity": "invoice", "number": invoice.number}


def _activity(desk: Desk, rng: random.Random) -> Done | None:
    """Somebody calls, writes or meets, or plans to."""
    deal, entity = _some(desk, rng, "deal"), rng.choice(desk.traits.activities)
    if deal is None:
        return None
    body = {"deal": deal.number, "employee": deal.body["employee"], "text": "О сделке", "done": rng.random() < 0.7,
            "at": desk.clock() - timedelta(minutes=rng.randrange(1, 600))}  # fmt: skip
    if entity != "meeting":
        body["direction"] = rng.choice(("in", "out"))
    added = desk.add(entity, body)
    return {"entity": entity, "number": added.number}


def _finish(desk: Desk, rng: random.Random) -> Done | None:
    entity = rng.choice(desk.traits.activities)
    item = _some(desk, rng, entity)
    if item is None:
        return None
    desk.put(entity, item.number, {**item.body, "done": not item.body["done"]})
    return {"entity": entity, "number": item.number}


def _drop_activity(desk: Desk, rng: random.Random) -> Done | None:
    entity = rng.choice(desk.traits.activities)
    item = _some(desk, rng, entity)
    if item is None:
        return None
    desk.remove(entity, item.number)
    return {"entity": entity, "number": item.number}


_DO: Final[dict[str, Callable[[Desk, random.Random], Done | None]]] = {
    "edit_deal": _edit_deal,
    "move": _move,
    "edit_line": _edit_line,
    "quiet_line": _quiet_line,
    "drop_line": _drop_line,
    "add_line": _add_line,
    "clear": _clear,
    "delete_deal": _delete_deal,
    "restore_deal": _restore_deal,
    "delete_contact": _delete_contact,
    "merge_clients": _merge_clients,
    "edit_client": _edit_client,
    "edit_contact": _edit_contact,
    "edit_product": _edit_product,
    "import": _import,
    "late": _late,
    "add_client": _add_client,
    "invoice": _invoice,
    "activity": _activity,
    "finish": _finish,
    "drop_activity": _drop_activity,
}
OF_ACTIVITIES: Final = ("activity", "finish", "drop_activity")
WEIGHTS: Final = {
    "edit_deal": 20, "move": 14, "edit_line": 10, "quiet_line": 6, "drop_line": 4, "add_line": 6, "clear": 6,
    "delete_deal": 5, "restore_deal": 2, "delete_contact": 2, "merge_clients": 2, "edit_client": 6,
    "edit_contact": 4, "edit_product": 3, "import": 5, "late": 3, "add_client": 3, "invoice": 2,
    "activity": 6, "finish": 4, "drop_activity": 2,
}  # fmt: skip
