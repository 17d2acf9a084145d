"""The base: it takes our messages by number, keeps one object a reference, posts documents, and answers.

As БСП's exchange by the universal format does: a message holds what the other side has not confirmed, numbers grow by
one a message, a number taken before is refused, and what the base loaded is not sent back, unless `echo` is on.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from sandbox.onec_exchange.shapes import ORDER, ORDER_NEEDS, ORDER_ROW, SHAPES

MSG = "{http://www.1c.ru/SSL/Exchange/Message}"
DATA = "http://v8.1c.ru/edi/edi_stnd/EnterpriseData/1.8"
_PARTS = ("Товары", "Услуги", "РасшифровкаПлатежа")


class NotTaken(Exception):
    """The base refused a message or an object of it."""


class Base:
    """One base and its exchange folder. Objects are {(name, reference): nested dictionaries}."""

    def __init__(self, folder: Path, code: str = "БП", partner: str = "СВ", *, echo: bool = True) -> None:
        self.folder, self.code, self.partner, self.echo = folder, code, partner, echo
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.deleted: dict[tuple[str, str], int] = {}
        self.changed: dict[tuple[str, str], int] = {}  # the message in which each went first; 0 is none yet
        self.sent = self.received = 0
        self.loaded: list[int] = []  # numbers of the messages that were loaded
        self.orders: dict[str, dict[str, Any]] = {}
        self._count = 0

    # ---- its own work -----------------------------------------------------------------------------

    def put(self, name: str, reference: str, body: dict[str, Any]) -> None:
        """An object written in the base: it goes with the next message."""
        self.objects[name, reference] = body
        self.changed[name, reference] = 0

    def delete(self, name: str, reference: str) -> None:
        """An object deleted in the base."""
        del self.objects[name, reference]
        self.changed.pop((name, reference), None)
        self.deleted[name, reference] = 0

    def opening(self) -> None:
        """The catalogues that any document names."""
        self.put("Справочник.Организации", _ref(1), {
            "КлючевыеСвойства": {"Ссылка": _ref(1), "Наименование": "Наша фирма ООО", "ИНН": "7701234567",
                                 "КПП": "770101001", "ЮридическоеФизическоеЛицо": "ЮридическоеЛицо"}})  # fmt: skip
        for number, code, name in ((2, "643", "руб."), (3, "978", "EUR")):
            key = {"Ссылка": _ref(number), "ДанныеКлассификатора": {"Код": code, "Наименование": name}}
            self.put("Справочник.Валюты", _ref(number), {"КлючевыеСвойства": key})
        unit = {"Ссылка": _ref(4), "ДанныеКлассификатора": {"Код": "796", "Наименование": "шт"}}
        self.put("Справочник.ЕдиницыИзмерения", _ref(4), {"КлючевыеСвойства": unit})

    # ---- the exchange -----------------------------------------------------------------------------

    def exchange(self) -> None:
        """One run of the exchange in 1C: load the message that lies there, then write one."""
        self.load()
        self.send()

    def load(self) -> bool:
        """Load our message; False where there is none, or it was loaded before. Raises NotTaken."""
        path = self.folder / f"Message_{self.partner}_{self.code}.xml"
        if not path.exists():
            return False
        root = ET.parse(path).getroot()
        header = root.find(f"{MSG}Header")
        if root.tag != "Message" or header is None:
            raise NotTaken("no message")
        order = [child.tag.removeprefix(MSG) for child in header]
        if order[:3] != ["Format", "CreationDate", "Confirmation"] or header.findtext(f"{MSG}Format") != DATA:
            raise NotTaken(f"a header of {order}")
        said = {
            child.tag.removeprefix(MSG): child.text or "" for child in header.find(f"{MSG}Confirmation") or ()
        }
        if list(said) != ["ExchangePlan", "To", "From", "MessageNo", "ReceivedNo"]:
            raise NotTaken(f"a confirmation of {list(said)}")
        if (said["From"], said["To"]) != (self.partner, self.code):
            raise NotTaken("a message of another exchange")
        number = int(said["MessageNo"])
        if number <= self.received:
            return False
        body = root.find(f"{{{DATA}}}Body")
        if body is None:
            raise NotTaken("no body")
        for node in body:
            self._load(node)
        self.received = number
        self.loaded.append(number)
        confirmed = int(said["ReceivedNo"])
        for registered in (self.changed, self.deleted):
            for key in [key for key, first in registered.items() if 0 < first <= confirmed]:
                del registered[key]
        return True

    def _load(self, node: ET.Element) -> None:
        name = node.tag.removeprefix(f"{{{DATA}}}")
        if name not in SHAPES:
            raise NotTaken(f"an object {name}")
        _check(node, SHAPES[name], name)
        body = _nested(node)
        key = name, body["КлючевыеСвойства"]["Ссылка"]
        if name.startswith("Документ.") and not body["КлючевыеСвойства"].get("Номер"):
            before = self.objects.get(key)
            self._count += before is None
            number = before["КлючевыеСвойства"]["Номер"] if before else f"0000-{self._count:06}"
            body["КлючевыеСвойства"]["Номер"] = number
        self.objects[key] = body
        if self.echo:
            self.changed[key] = 0

    def send(self) -> Path:
        """Write the next message: everything that the other side has not confirmed."""
        self.sent += 1
        for registered in (self.changed, self.deleted):
            for key in [key for key, first in registered.items() if not first]:
                registered[key] = self.sent
        path = self.folder / f"Message_{self.code}_{self.partner}.xml"
        path.write_bytes(self.message().encode())
        return path

    def message(self) -> str:
        """The text of the message under the present number."""
        objects = "".join(_xml(name, self.objects[name, key]) for name, key in self.changed)
        gone = "".join(
            f"<УдалениеОбъекта><СсылкаНаОбъект><СсылкаНаОбъект><{name.partition('.')[2]}Ссылка>{key}"
            f"</{name.partition('.')[2]}Ссылка></СсылкаНаОбъект></СсылкаНаОбъект></УдалениеОбъекта>"
            for name, key in self.deleted
        )
        head = "".join(
            f"<msg:{name}>{value}</msg:{name}>"
            for name, value in (
                ("ExchangePlan", "СинхронизацияДанныхЧерезУниверсальныйФормат"), ("To", self.partner),
                ("From", self.code), ("MessageNo", self.sent), ("ReceivedNo", self.received),
            )
        )  # fmt: skip
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Message xmlns:msg="http://www.1c.ru/SSL/Exchange/Message">'
            f"<msg:Header><msg:Format>{DATA}</msg:Format><msg:CreationDate>{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
            f"</msg:CreationDate><msg:Confirmation>{head}</msg:Confirmation><msg:AvailableVersion>1.6</msg:AvailableVersion>"
            f'<msg:AvailableVersion>1.8</msg:AvailableVersion></msg:Header><Body xmlns="{DATA}">{objects}{gone}</Body></Message>'
        )

    # ---- CommerceML -------------------------------------------------------------------------------

    def take_orders(self, folder: Path) -> int:
        """Load every order in a folder; the reference decides, so one that comes again is the same order."""
        taken = 0
        for path in sorted(folder.glob("*.xml")):
            for node in ET.parse(path).getroot():
                space, _, name = node.tag.rpartition("}")
                if name != "Документ":
                    continue
                names = [child.tag.rpartition("}")[2] for child in node]
                _in_order(names, ORDER.split(), "Документ")
                if missing := set(ORDER_NEEDS.split()) - set(names):
                    raise NotTaken(f"an order without {missing}")
                for row in node.iter(f"{space}}}Товар"):
                    _in_order([child.tag.rpartition("}")[2] for child in row], ORDER_ROW.split(), "Товар")
                body = ET.tostring(node, encoding="unicode")
                self.orders[node.findtext(f"{space}}}Ид") or ""] = {"node": copy.deepcopy(node), "text": body}
                taken += 1
        return taken

    def answer_orders(self, path: Path, *, posted: bool = True) -> None:
        """Write all orders back, as `sale` exchange does: the document and what 1C made of it."""
        root = ET.Element("КоммерческаяИнформация", {"ВерсияСхемы": "2.05"})
        for held in self.orders.values():
            node = copy.deepcopy(held["node"])
            for element in node.iter():
                element.tag = element.tag.rpartition("}")[2]
            values = node.find("ЗначенияРеквизитов")
            values = ET.SubElement(node, "ЗначенияРеквизитов") if values is None else values
            for name, value in (("Проведен", "true" if posted else "false"), ("ПометкаУдаления", "false")):
                row = ET.SubElement(values, "ЗначениеРеквизита")
                ET.SubElement(row, "Наименование").text = name
                ET.SubElement(row, "Значение").text = value
            root.append(node)
        path.write_bytes(ET.tostring(root, encoding="windows-1251"))


def _ref(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def _check(node: ET.Element, shape: object, where: str) -> None:
    """Order, and what must be there. Raises NotTaken."""
    if shape == "":
        return
    wanted = shape.split() if isinstance(shape, str) else list(shape)  # type: ignore[call-overload]
    names = [child.tag.rpartition("}")[2] for child in node]
    _in_order(names, [name.rstrip("!*") for name in wanted], where)
    for name in wanted:
        bare = name.rstrip("!*")
        if name.endswith("!") and bare not in names:
            raise NotTaken(f"{where} without {bare}")
        for child in node:
            if child.tag.rpartition("}")[2] == bare:
                if name.endswith("!") and not len(child) and not (child.text or "").strip():
                    raise NotTaken(f"{where} with an empty {bare}")
                if isinstance(shape, dict):
                    _check(child, shape[name], f"{where}/{bare}")


def _in_order(names: list[str], order: list[str], where: str) -> None:
    if strangers := [name for name in names if name not in order]:
        raise NotTaken(f"{where}: no {strangers}")
    places = [order.index(name) for name in names]
    if places != sorted(places):
        raise NotTaken(f"{where}: the order of {names}")


def _nested(node: ET.Element) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for child in node:
        name = child.tag.rpartition("}")[2]
        if name in _PARTS:
            out[name] = [_nested(row) for row in child]
        else:
            out[name] = _nested(child) if len(child) else (child.text or "")
    return out


def _xml(name: str, value: Any) -> str:
    return f"<{name}>{''.join(_inner(value))}</{name}>"


def _inner(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield _xml(name, inner)
    elif isinstance(value, list):
        for row in value:
            yield _xml("Строка", row)
    else:
        yield escape(str(value))
