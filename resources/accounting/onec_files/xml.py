"""XML read without trust and written without surprise.

Read: a document type declaration is refused (no entity can then be declared, so none can grow), and size, depth
and number of elements are bounded. Written: text is escaped, and what XML cannot hold is refused, not dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

MAX_BYTES: Final = 256 << 20  # of one file, unpacked
MAX_DEPTH: Final = 64
MAX_ELEMENTS: Final = 3_000_000  # some 1.5 GB of memory

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class XmlError(ValueError):
    """A text that is no XML which can be trusted. `cut`: it ended too early, so waiting may be enough."""

    def __init__(self, message: str, *, cut: bool = False) -> None:
        super().__init__(message)
        self.cut = cut


@dataclass(slots=True)
class Node:
    """One element: its name, the namespace of it, its attributes without theirs, its text and its children."""

    name: str
    space: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Node] = field(default_factory=list)
    ready: str = ""  # the whole element as text, where it was rendered before

    def child(self, name: str) -> Node | None:
        """The first child of this name."""
        return next((child for child in self.children if child.name == name), None)

    def value(self, *path: str) -> str:
        """The text at the end of a path of names; empty where there is none."""
        node: Node | None = self
        for name in path:
            node = node.child(name) if node is not None else None
        return node.text.strip() if node is not None else ""


def parse(content: bytes) -> Node:
    """The root of a document. Raises XmlError, in words."""
    if len(content) > MAX_BYTES:
        raise XmlError(f"it is larger than {MAX_BYTES >> 20} MB; let the base send fewer records at once")
    if not content.strip():
        raise XmlError("it is empty", cut=True)
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator="\n")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise _explained(error, parser) from None
    except LookupError as error:
        raise XmlError(f"its encoding is unknown ({error}); save it as UTF-8") from None
    if builder.root is None:  # expat refuses a text without an element before this
        raise XmlError("it holds no element", cut=True)
    return builder.root


def _explained(error: expat.ExpatError, parser: expat.XMLParserType) -> XmlError:
    line = f"line {error.lineno}"
    codes = expat.errors.codes
    if error.code in (
        codes[expat.errors.XML_ERROR_NO_ELEMENTS],
        codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN],
        codes[expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION],
        codes[expat.errors.XML_ERROR_PARTIAL_CHAR],
    ):
        return XmlError(f"it ends in the middle, at {line}", cut=True)
    if error.code in (
        codes[expat.errors.XML_ERROR_INVALID_TOKEN],
        codes[expat.errors.XML_ERROR_INCORRECT_ENCODING],
        codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING],
    ):
        return XmlError(f"{line} cannot be read in the encoding that the file names; save it again as UTF-8")
    return XmlError(f"it is no well-formed XML ({expat.ErrorString(error.code)}, {line})")


def _refuse_doctype(name: str, *_: Any) -> None:
    raise XmlError(f"it declares a document type ({name}), as no message of 1C does; it was not read")


class _Builder:
    def __init__(self) -> None:
        self.root: Node | None = None
        self.open: list[Node] = []
        self.texts: list[list[str]] = []
        self.count = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self.count += 1
        if len(self.open) >= MAX_DEPTH or self.count > MAX_ELEMENTS:
            raise XmlError(f"it nests deeper than {MAX_DEPTH} elements, or holds more than {MAX_ELEMENTS}")
        space, _, local = name.rpartition("\n")
        node = Node(local, space, {key.rpartition("\n")[2]: value for key, value in attributes.items()})
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node
        self.open.append(node)
        self.texts.append([])

    def end(self, name: str) -> None:
        self.open.pop().text = "".join(self.texts.pop())

    def characters(self, text: str) -> None:
        self.texts[-1].append(text)


def render(root: Node, namespaces: Mapping[str, str]) -> bytes:
    """UTF-8 with a byte order mark, as 1C writes; the same tree gives the same bytes.

    `namespaces`: those declared at the root, by prefix. A node whose `space` is declared nowhere above
    declares it as the default. Raises ValueError naming the element whose text XML cannot hold.
    """
    out = ['\ufeff<?xml version="1.0" encoding="UTF-8"?>\n']
    _render(root, {uri: prefix for prefix, uri in namespaces.items()}, "", out, 0, namespaces)
    return "".join(out).encode()


def fragment(node: Node, depth: int) -> str:
    """One element as it stands within others of its namespace, so deep."""
    out: list[str] = []
    _render(node, {}, node.space, out, depth, {})
    return "".join(out)


def _render(
    node: Node,
    prefixes: Mapping[str, str],
    default: str,
    out: list[str],
    depth: int,
    declared: Mapping[str, str],
) -> None:
    if node.ready:
        out.append(node.ready)
        return
    prefix = prefixes.get(node.space, "") if node.space != default else ""
    name = f"{prefix}:{node.name}" if prefix else node.name
    attributes = [f" xmlns:{short}={quoteattr(uri)}" for short, uri in declared.items()]
    if not prefix and node.space != default:
        attributes.append(f" xmlns={quoteattr(node.space)}")
        default = node.space
    attributes += [f" {key}={quoteattr(_held(node.name, value))}" for key, value in node.attributes.items()]
    indent = "\t" * depth
    out.append(f"{indent}<{name}{''.join(attributes)}")
    if node.children:
        out.append(">\n")
        for child in node.children:
            _render(child, prefixes, default, out, depth + 1, {})
        out.append(f"{indent}</{name}>\n")
    elif node.text:
        # A carriage return written as it is would be read as a line feed.
        text = escape(_held(node.name, node.text), {"\r": "&#13;"})
        out.append(f">{text}</{name}>\n")
    else:
        out.append("/>\n")


def _held(name: str, text: str) -> str:
    if found := _FORBIDDEN.search(text):
        raise ValueError(f"{name} holds the character U+{ord(found[0]):04X}, which XML cannot")
    return text


# ---- records ------------------------------------------------------------------------------------

Value = str | list[dict[str, Any]]


def flat(node: Node, tables: Mapping[str, str]) -> dict[str, Any]:
    """A record as JSON, one way: every leaf under the path of its names, joined by `/`; attributes as `@name`.

    An element named in `tables` is a list of its rows (children of the name that `tables` gives), and so is
    one that holds several children of one name. Text stays text, so no digit is lost.
    """
    out: dict[str, Any] = {}
    _flat(node, "", tables, out)
    return out


def _flat(node: Node, path: str, tables: Mapping[str, str], out: dict[str, Any]) -> None:
    for key, value in node.attributes.items():
        out[f"{path}/@{key}" if path else f"@{key}"] = value
    if path and not node.children:
        if node.text.strip() or not node.attributes:
            out[path] = node.text.strip()
        return
    counts: dict[str, int] = {}
    for child in node.children:
        counts[child.name] = counts.get(child.name, 0) + 1
    for child in node.children:
        place = f"{path}/{child.name}" if path else child.name
        if child.name in tables:
            rows = out.setdefault(place, [])
            rows += [flat(row, tables) for row in child.children if row.name == tables[child.name]]
        elif counts[child.name] > 1:
            out.setdefault(place, []).append(flat(child, tables) or {"": child.text.strip()})
        else:
            _flat(child, place, tables, out)


def tree(name: str, body: Mapping[str, Any], space: str, tables: Mapping[str, str]) -> Node:
    """The element that `flat` reads back as this body. Values: text, numbers, booleans, lists of rows, None.

    Raises ValueError for a value of another kind, or a key that is no path of names.
    """
    root = Node(name, space)
    for key, value in body.items():
        if value is None:
            continue
        node = root
        *heads, last = key.split("/")
        for head in heads:
            node = _step(node, head, space)
        if not last or not all(heads):
            raise ValueError(f"{name}: {key!r} is no path of element names")
        if last.startswith("@"):
            node.attributes[last[1:]] = _held(last[1:], written(value))
        elif isinstance(value, list):
            part = _step(node, last, space)
            part.children += [tree(tables.get(last, "Строка"), row, space, tables) for row in value]
        else:
            _step(node, last, space).text = _held(last, written(value))
    return root


def _step(node: Node, name: str, space: str) -> Node:
    found = node.child(name)
    if found is None:
        found = Node(name, space)
        node.children.append(found)
    return found


def written(value: Any) -> str:
    """A value as 1C writes it in XML: booleans in words, numbers with a point and without an exponent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if hasattr(value, "is_finite") and value.is_finite():  # Decimal
        return format(value, "f")
    raise ValueError(f"{value!r} is neither text, a number nor a boolean")


def ordered(node: Node, order: Sequence[Any]) -> None:
    """Put children into the order of the schema: `order` holds names, or (name, its own order) pairs.

    Raises ValueError naming an element that the schema does not have there.
    """
    places = {item if isinstance(item, str) else item[0]: place for place, item in enumerate(order)}
    for child in node.children:
        if child.name not in places:
            raise ValueError(f"{node.name} has no {child.name} in this format")
    node.children.sort(key=lambda child: places[child.name])
    for child in node.children:
        item = order[places[child.name]]
        if not isinstance(item, str):
            ordered(child, item[1])
