"""Answers as Atom XML: what a client gets that does not ask for JSON.

Source: the OData 2.0 Atom format; the vendor's feeds differ in no element that a reader needs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from sandbox.accounting.sap.edm import EDM, EntitySet, EntityType, Service

_SPACES = (
    'xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" '
    'xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"'
)


def body(service: Service, found: EntitySet | None, data: dict[str, Any], root: str) -> tuple[str, bytes]:
    """Content type and text of an entity, a list or a function's result."""
    head = '<?xml version="1.0" encoding="utf-8"?>'
    if found is None:
        return (
            "application/xml;charset=utf-8",
            f"{head}<d:result {_SPACES}>{_plain(data)}</d:result>".encode(),
        )
    if "results" not in data:
        text = _entry(service, found, data, _SPACES)
        return "application/atom+xml;type=entry; charset=utf-8", f"{head}{text}".encode()
    text = _feed(service, found, data, root, _SPACES)
    return "application/atom+xml;type=feed; charset=utf-8", f"{head}{text}".encode()


def service_document(root: str, names: list[str]) -> bytes:
    rows = "".join(
        f'<app:collection href="{name}"><atom:title type="text">{name}</atom:title></app:collection>'
        for name in names
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><app:service xml:base={quoteattr(root + "/")} '
        'xmlns:app="http://www.w3.org/2007/app" xmlns:atom="http://www.w3.org/2005/Atom">'
        f'<app:workspace><atom:title type="text">Data</atom:title>{rows}</app:workspace></app:service>'
    ).encode()


def _feed(service: Service, found: EntitySet, data: dict[str, Any], root: str, spaces: str = "") -> str:
    count = f"<m:count>{data['__count']}</m:count>" if "__count" in data else ""
    after = f'<link rel="next" href={quoteattr(data["__next"])}/>' if "__next" in data else ""
    rows = "".join(_entry(service, found, row) for row in data["results"])
    base = f" xml:base={quoteattr(root + '/')}" if root else ""
    return (
        f'<feed {spaces}{base}><id>{escape(root)}/{found.name}</id><title type="text">{found.name}</title>'
        f"<updated>{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}</updated>{count}{rows}{after}</feed>"
    )


def _entry(service: Service, found: EntitySet, data: dict[str, Any], spaces: str = "") -> str:
    about = data.get("__metadata", {})
    tag = f" m:etag={quoteattr(about['etag'])}" if "etag" in about else ""
    own = "".join(
        _property(found.type, name, value) for name, value in data.items() if name in found.type.properties
    )
    links = "".join(
        _link(service, found.type, name, data[name]) for name in found.type.navigations if name in data
    )
    address = escape(about.get("uri", ""))
    return (
        f'<entry {spaces}{tag}><id>{address}</id><title type="text">{found.name}</title>'
        f"<updated>{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}</updated>"
        f'<category term="{about.get("type", "")}" '
        f'scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/>{links}'
        f'<content type="application/xml"><m:properties>{own}</m:properties></content></entry>'
    )


def _link(service: Service, kind: EntityType, name: str, value: Any) -> str:
    nav = kind.navigations[name]
    rel = f"http://schemas.microsoft.com/ado/2007/08/dataservices/related/{name}"
    href = value["__deferred"]["uri"] if isinstance(value, dict) and "__deferred" in value else name
    what = "feed" if nav.many else "entry"
    head = f'<link href={quoteattr(href)} rel="{rel}" type="application/atom+xml;type={what}" title="{name}"'
    if href != name:
        return f"{head}/>"
    target = service.sets[nav.target]
    inner = ""
    if value is not None:
        inner = _feed(service, target, value, "") if nav.many else _entry(service, target, value)
    return f"{head}><m:inline>{inner}</m:inline></link>"


def _property(kind: EntityType, name: str, value: Any) -> str:
    prop = kind.properties[name]
    if value is None:
        return f'<d:{name} m:null="true"/>'
    if prop.code in "do":
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            milliseconds=int(value[6:].split("+")[0].split(")")[0])
        )
        value = f"{moment:%Y-%m-%dT%H:%M:%S}" + ("Z" if prop.code == "o" else "")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    del kind
    return f"<d:{name}>{escape(text)}</d:{name}>" if EDM[prop.code] else ""


def _plain(data: Any) -> str:
    if isinstance(data, dict):
        return "".join(
            f"<d:{name}>{_plain(value)}</d:{name}>" for name, value in data.items() if name != "__metadata"
        )
    if isinstance(data, list):
        return "".join(f"<d:element>{_plain(each)}</d:element>" for each in data)
    return escape(str(data))
