"""EnterpriseData messages: `Message` of a `Header` (numbers, confirmations) and a `Body` of objects.

A message holds everything that the other side has not confirmed yet. `MessageNo` counts the messages of one side,
`ReceivedNo` is the highest number that it has taken of the other; both only grow. The next message with a
ReceivedNo of N confirms all up to N. Names and order of elements: `schema.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from resources.accounting.onec_files.schema import BY_DELETION, BY_NAME, KINDS, REFERENCES, TABLES, Kind
from resources.accounting.onec_files.xml import Node, XmlError, flat, fragment, ordered, render, tree

HEADER_SPACE: Final = "http://www.1c.ru/SSL/Exchange/Message"
BODY_SPACE: Final = "http://v8.1c.ru/edi/edi_stnd/EnterpriseData/"
PLAN: Final = "СинхронизацияДанныхЧерезУниверсальныйФормат"
KEYS: Final = "КлючевыеСвойства"
POSTED: Final = "Проведен"
OBJECT: Final = "Объект"  # the key under which a record bears the name of its object
_SPACES: Final = {
    "msg": HEADER_SPACE,
    "xs": "http://www.w3.org/2001/XMLSchema",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}


class ForeignMessage(ValueError):
    """A message of somebody else, or for somebody else, or of another format."""


@dataclass(frozen=True, slots=True)
class Head:
    """The header of a message. `versions`: those of the format that its sender can read."""

    sender: str
    receiver: str
    number: int
    received: int
    created: str = ""
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """One object of a message. `key` is its Ссылка, in lower case; empty: the object has none."""

    entity: str
    key: str
    body: Mapping[str, Any]
    deleted: bool = False


def label(body: Mapping[str, Any]) -> str:
    """What people call an object: its number and day, or its name; empty where it has none."""

    def said(name: str) -> str:
        return str(body.get(f"{KEYS}/{name}") or body.get(name) or "")

    return f"{said('Номер')} {said('Дата')[:10]}".strip() if said("Номер") else said("Наименование")


def message(head: Head, version: str, objects: Sequence[str]) -> bytes:
    """The bytes of a message of objects as `element` gives them. The same head and objects give the same bytes."""

    def leaf(name: str, text: str) -> Node:
        return Node(name, HEADER_SPACE, text=text)

    space = BODY_SPACE + version
    confirmation = Node("Confirmation", HEADER_SPACE)
    confirmation.children = [
        leaf("ExchangePlan", PLAN),
        leaf("To", head.receiver),
        leaf("From", head.sender),
        leaf("MessageNo", str(head.number)),
        leaf("ReceivedNo", str(head.received)),
    ]
    types = Node("AvailableObjectTypes", HEADER_SPACE)
    for kind in KINDS:
        sending, receiving = leaf("Sending", "*" if kind.order else ""), leaf("Receiving", "*")
        types.children.append(
            Node("ObjectType", HEADER_SPACE, children=[leaf("Name", kind.name), sending, receiving])
        )
    header = Node("Header", HEADER_SPACE)
    header.children = [
        leaf("Format", space),
        leaf("CreationDate", head.created),
        confirmation,
        leaf("AvailableVersion", version),
        types,
    ]
    body = Node("Body", space, children=[Node("", ready=text) for text in objects])
    return render(Node("Message", children=[header, body]), _SPACES)


def element(kind: Kind, key: str, body: Mapping[str, Any], version: str) -> str:
    """One object as it stands in a body, in the order of the schema. Raises ValueError saying what the format does not have, or misses."""
    space = BODY_SPACE + version
    root = tree(kind.name, {**dict.fromkeys(kind.fixed, ""), f"{KEYS}/Ссылка": key, **body}, space, TABLES)
    ordered(root, kind.order)
    missing = [path for path in kind.required if not root.value(*path.split("/"))]
    if missing:
        raise ValueError(f"{kind.name} needs {', '.join(missing)}")
    return fragment(root, 2)


def with_references(
    body: Mapping[str, Any], known: Callable[[str, str], Mapping[str, Any] | None]
) -> dict[str, Any]:
    """The body with the key properties of every record that it names by Ссылка alone, since the format demands them.

    `known(entity, key)` gives a record as it was told or sent. Raises ValueError for one that is not known.
    """
    out: dict[str, Any] = {}
    for path, value in body.items():
        if isinstance(value, list):
            out[path] = [with_references(row, known) for row in value]
            continue
        out[path] = value
        place, _, last = path.rpartition("/")
        entity = REFERENCES.get(place.rpartition("/")[2]) if last == "Ссылка" else None
        if entity is None or not value:
            continue
        record = known(entity, str(value).lower())
        if record is None:
            raise ValueError(
                f"it names the {entity} {value} ({place}), of which the base has told nothing yet;"
                " let the base send its catalogues first"
            )
        properties = {
            f"{place}/{name.removeprefix(KEYS + '/')}": held
            for name, held in record.items()
            if name.startswith(KEYS + "/") and not isinstance(held, list)
        }
        # A group of a catalogue has required elements of its own, and nothing of ours needs it.
        out |= {name: held for name, held in properties.items() if name not in body and "/Группа" not in name}
    return out


def read(root: Node, sender: str, receiver: str) -> tuple[Head, list[Told]]:
    """Header and objects of a message from `sender` to `receiver`, in their order; unknown objects are left out.

    Raises ForeignMessage, XmlError.
    """
    if root.name != "Message" or (header := root.child("Header")) is None:
        raise ForeignMessage(f"it begins with {root.name} and is no message of EnterpriseData")
    if header.space != HEADER_SPACE:
        raise ForeignMessage(f"its header is of {header.space or 'no namespace'}, not of {HEADER_SPACE}")
    given = header.value("Format")
    if not (given + "/").startswith(BODY_SPACE):
        raise ForeignMessage(f"its format is {given or 'not named'}, not EnterpriseData")
    confirmation = header.child("Confirmation")
    if confirmation is None:
        raise ForeignMessage(
            "its header has no Confirmation, so it was saved by hand and belongs to no exchange; nothing of it was taken"
        )
    told_from, told_to = confirmation.value("From"), confirmation.value("To")
    if (told_from, told_to) != (sender, receiver):
        raise ForeignMessage(f"it is from {told_from!r} to {told_to!r}, not from {sender!r} to {receiver!r}")
    head = Head(
        sender,
        receiver,
        _number(confirmation, "MessageNo"),
        _number(confirmation, "ReceivedNo"),
        header.value("CreationDate"),
        tuple(child.text.strip() for child in header.children if child.name == "AvailableVersion"),
    )
    body = root.child("Body")
    if body is not None and not body.space.startswith(BODY_SPACE):
        raise ForeignMessage(f"its body is of {body.space or 'no namespace'}, not of EnterpriseData")
    return head, [told for node in (body.children if body else ()) for told in _told(node)]


def _number(confirmation: Node, name: str) -> int:
    text = confirmation.value(name)
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise XmlError(f"its {name} is {text!r}, not a number")
    return int(text)


def _told(node: Node) -> list[Told]:
    if node.name == "УдалениеОбъекта":
        return _deleted(node)
    kind = BY_NAME.get(node.name)
    if kind is None:
        return []
    body = {OBJECT: node.name, **flat(node, TABLES)}
    return [Told(kind.entity, str(body.get(f"{KEYS}/Ссылка", "")).lower(), body)]


def _deleted(node: Node) -> list[Told]:
    """`УдалениеОбъекта/СсылкаНаОбъект/СсылкаНаОбъект/<вид>Ссылка`: the name of the last says what is gone."""
    found, queue = [], list(node.children)
    while queue:
        child = queue.pop()
        queue += child.children
        kind = BY_DELETION.get(child.name)
        if kind is not None and child.text.strip():
            found.append(Told(kind.entity, child.text.strip().lower(), {}, deleted=True))
    return found
