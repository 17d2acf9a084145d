"""How S/4HANA refuses: the error body of the Gateway in JSON and in XML, and the refusals that have no such body.

Codes are message class and number. Numbers that no public source shows next to their text are this stand-in's own
choice of a likely one; clients are told apart by status and text.
Source: the vendor's description of the error object; recorded answers in public repositories.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

import msgspec
from starlette.responses import Response

NOT_FOUND: Final = "/IWBEP/CM_MGW_RT/020"
BUSINESS: Final = "/IWBEP/CX_MGW_BUSI_EXCEPTION"
CHANGED: Final = "/IWBEP/CM_MGW_RT/190"
CONDITIONAL: Final = "/IWBEP/CM_MGW_RT/195"
MALFORMED: Final = "CX_SXML_PARSE_ERROR"
PROPERTY: Final = "/IWCOR/CX_DS_EP_PROPERTY_ERROR"
BAD_REQUEST: Final = "/IWCOR/CX_OD_BAD_REQUEST"
EXPRESSION: Final = "/IWCOR/CX_DS_EXPR_SYNTAX_ERROR"
NOT_ALLOWED: Final = "/IWFND/CM_MGW_RT/114"
_ADVICE: Final = (
    'For backend administrators: use ADT feed reader "SAP Gateway Error Log" or run transaction '
    "/IWFND/ERROR_LOG on SAP Gateway hub system and search for entries with the timestamp above for more details"
)
_NOTE: Final = "See SAP Note 1797736 for error analysis (https://service.sap.com/sap/support/notes/1797736)"
LOGON_PAGE: Final = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN"><html><head><title>Logon Error Message'
    '</title><meta http-equiv="content-type" content="text/html; charset=utf-8"></head><body><table><tr><td>'
    "<h1>Logon failed</h1></td></tr><tr><td><h2>Your logon was not successful.</h2><p>The user name or the "
    "password is wrong, or the user is locked. Contact your system administrator.</p></td></tr></table></body></html>"
)
BUSY_PAGE: Final = (
    "<!DOCTYPE html><html><head><title>Service Unavailable</title></head><body><h1>503 Service Unavailable</h1>"
    "<p>Error: 503 Service Unavailable</p><p>Detail: no free dialog work process</p></body></html>"
)
QUOTA: Final = {
    "fault": {
        "faultstring": "Rate limit quota violation. Quota limit  exceeded. Identifier : _default",
        "detail": {"errorcode": "policies.ratelimit.QuotaViolation"},
    }
}


@dataclass(frozen=True, slots=True)
class Detail:
    code: str
    text: str
    property: str = ""
    severity: str = "error"


@dataclass
class SapError(Exception):
    """A refusal in the Gateway's own words. `details` are the messages beneath the first."""

    status: int
    code: str
    text: str
    details: list[Detail] = field(default_factory=list)
    property: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


def business(code: str, text: str, prop: str = "") -> SapError:
    """HTTP 400: what the application refuses."""
    return SapError(400, code, text, [Detail(code, text, prop), Detail(BUSINESS, text)], prop)


def bad_request(text: str, code: str = BAD_REQUEST) -> SapError:
    return SapError(400, code, text)


def not_found(what: str) -> SapError:
    """HTTP 404 for an unknown set, navigation or key; a missing record is named by its type."""
    return SapError(404, NOT_FOUND, f"Resource not found for segment '{what}'")


def error_body(error: SapError, component: str, service: str) -> dict[str, Any]:
    moment = datetime.now(UTC)
    details = error.details or [Detail(error.code, error.text)]
    return {
        "error": {
            "code": error.code,
            "message": {"lang": "en", "value": error.text},
            "innererror": {
                "application": {
                    "component_id": component,
                    "service_namespace": "/SAP/",
                    "service_id": service,
                    "service_version": "0001",
                },
                "transactionid": uuid.uuid4().hex.upper(),
                "timestamp": f"{moment:%Y%m%d%H%M%S}.{moment.microsecond:06d}0",
                "Error_Resolution": {"SAP_Transaction": _ADVICE, "SAP_Note": _NOTE},
                "errordetails": [
                    {
                        "ContentID": "",
                        "code": each.code,
                        "message": each.text,
                        "propertyref": each.property,
                        "severity": each.severity,
                        "transition": False,
                        "target": each.property,
                    }
                    for each in details
                ],
            },
        }
    }


def error_xml(body: dict[str, Any]) -> bytes:
    said = body["error"]
    inner = said["innererror"]
    application = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in inner["application"].items())
    advice = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in inner["Error_Resolution"].items())
    details = "".join(
        "<errordetail>"
        + "".join(f"<{name}>{escape(_plain(value))}</{name}>" for name, value in each.items())
        + "</errordetail>"
        for each in inner["errordetails"]
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices'
        f'/metadata"><code>{escape(said["code"])}</code><message xml:lang={quoteattr(said["message"]["lang"])}>'
        f"{escape(said['message']['value'])}</message><innererror><application>{application}</application>"
        f"<transactionid>{inner['transactionid']}</transactionid><timestamp>{inner['timestamp']}</timestamp>"
        f"<Error_Resolution>{advice}</Error_Resolution><errordetails>{details}</errordetails></innererror></error>"
    ).encode()


def logon_failed(_path: str = "") -> Response:
    """HTTP 401: a page for people, whatever the client accepts."""
    return Response(
        LOGON_PAGE,
        401,
        {
            "content-type": "text/html; charset=utf-8",
            "www-authenticate": 'Basic realm="SAP NetWeaver Application Server [S4H/100]"',
            "sap-system": "S4H",
        },
    )


def too_many(_path: str = "", seconds: int = 60) -> Response:
    """HTTP 429 of the API management before the system."""
    return Response(
        msgspec.json.encode(QUOTA),
        429,
        {"content-type": "application/json", "retry-after": str(seconds), "x-ratelimit-remaining": "0"},
    )


def unavailable() -> Response:
    """HTTP 503: every dialog work process is taken."""
    return Response(BUSY_PAGE, 503, {"content-type": "text/html; charset=utf-8", "retry-after": "5"})


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
