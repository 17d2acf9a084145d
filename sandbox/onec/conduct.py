"""How a base is told to misbehave: refusals, half-saved documents, other hands, missing rights, slowness.

Each is set over `POST /control/onec` and counted down by its `times` (null is for ever). In memory only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MAX_ORDERS = 100
MAX_LATENCY = 60.0  # seconds
KINDS = ("refuse", "half", "meanwhile", "no_rights")
LONG_REFUSAL = "\n".join(
    [
        "Операция не выполнена! Обнаружены ошибки при проведении документа.",
        "Обработка проверки заполнения завершилась с ошибками, изменения в базе отменены.",
        *(
            f'Строка {n} списка "Товары": номенклатуры «Кабель ВВГнг(А)-LS 3х{n},5 (бухта 100 м)» не хватает на '
            f'складе "Основной склад": требуется {n * 7},000 шт, в наличии {n},000 шт, не хватает {n * 6},000 шт.'
            for n in range(1, 13)
        ),
        'Не заполнено поле "Подразделение", обязательное при включенном учете по подразделениям.',
        "Обратитесь к главному бухгалтеру или к администратору информационной базы.",
    ]
)
"""Twelve lines of what runs short, as the message window gathers them."""


@dataclass(slots=True)
class Order:
    """One thing to go wrong with objects of `set`. `times=None` is for ever."""

    kind: str
    set: str
    table: str = ""
    text: str = ""
    right: str = ""  # of no_rights: read, write or "" both
    times: int | None = 1


@dataclass
class Conduct:
    """The orders in force of one base, the seconds that every answer waits, and where it shows subconto."""

    latency: float = 0.0
    subconto_in_records: bool = False  # shown by the plain record type too, which describes none
    orders: list[Order] = field(default_factory=list)

    def add(self, order: Order) -> None:
        """Raises ValueError when a hundred orders stand already."""
        if len(self.orders) >= MAX_ORDERS:
            raise ValueError(f"{MAX_ORDERS} orders are set already; DELETE /control/onec first")
        self.orders.append(order)

    def take(self, kind: str, name: str, *, right: str = "") -> Order | None:
        """The order that strikes an act on a set, its use counted, or None."""
        for order in self.orders:
            if order.kind != kind or order.set != name or order.times == 0:
                continue
            if order.right and right and order.right != right:
                continue
            if order.times is not None:
                order.times -= 1
            return order
        return None

    def clear(self) -> None:
        self.orders.clear()
        self.latency = 0.0
        self.subconto_in_records = False


def read_order(kind: str, said: dict[str, Any]) -> Order:
    """One order from JSON. Raises ValueError with what is wrong."""
    known = {"set", "table", "text", "right", "times"}
    if set(said) - known:
        raise ValueError(f"{kind} has no field {', '.join(sorted(set(said) - known))}")
    if not said.get("set"):
        raise ValueError(f"{kind}: set is missing")
    times = said.get("times", None if kind == "no_rights" else 1)
    order = Order(
        kind,
        str(said["set"]),
        str(said.get("table") or ""),
        str(said.get("text") or ""),
        str(said.get("right") or ""),
        None if times is None else int(times),
    )
    if kind == "half" and not order.table:
        raise ValueError("half: table is missing; name the tabular part that is not saved")
    if order.right not in ("", "read", "write"):
        raise ValueError(f"no_rights: right is {order.right!r}; give read or write")
    return order
