"""Answers in atom-xml, the format of whoever forgets `$format=json`: entries with `m:properties`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from sandbox.onec.model import Row

ENTRY_TYPE = "application/atom+xml;type=entry;charset=utf-8"
FEED_TYPE = "application/atom+xml;type=feed;charset=utf-8"
_SPACES = (
    'xmlns="http://www.w3.org/2005/Atom" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" '
    'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"'
)
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def feed(address: str, set_name: str, rows: list[Row], count: int | None) -> bytes:
    inner = "".join(_entry(address, set_name, row, "") for row in rows)
    counted = "" if count is None else f"<m:count>{count}</m:count>"
    return f'{_HEAD}<feed {_SPACES} xml:base="{escape(address)}">{inner}{counted}</feed>'.encode()


def entry(address: str, set_name: str, row: Row) -> bytes:
    return (_HEAD + _entry(address, set_name, row, f" {_SPACES}")).encode()


def _entry(address: str, set_name: str, row: Row, spaces: str) -> str:
    key = row.get("Ref_Key", "")
    place = f"{escape(address)}{set_name}(guid'{key}')"
    return (
        f'<entry{spaces}><id>{place}</id><category term="StandardODATA.{set_name}" '
        'scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/><title type="text"/>'
        f'<content type="application/xml"><m:properties>{"".join(_fields(row))}</m:properties>'
        "</content></entry>"
    )


def _fields(row: Row) -> Iterator[str]:
    for name, value in row.items():
        if "@" in name:
            continue
        if value is None:
            yield f'<d:{name} m:null="true"/>'
        elif isinstance(value, (list, tuple)):
            rows = "".join(f"<d:element>{''.join(_fields(item))}</d:element>" for item in value)
            yield f"<d:{name}>{rows}</d:{name}>"
        elif isinstance(value, dict):
            yield f"<d:{name}>{''.join(_fields(value))}</d:{name}>"
        else:
            yield f"<d:{name}>{_text(value)}</d:{name}>"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else escape(str(value))
