"""How the 1C base says no: the `odata.error` body with the platform's own codes.

Codes are those of the developer guide (chapter 17.4.10). Code -1 with HTTP 500 is an exception
raised inside the configuration: posting refused, a closed period, a broken row.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

import msgspec

NOT_SUPPORTED, PARSE, FORMAT, WRONG_VALUE = "0", "1", "2", "4"
BAD_URL, KEY_MISSING, NO_TYPE, NO_INSTANCE, NO_PROPERTY = "6", "7", "8", "9", "10"
NO_METHOD, ARGUMENT_MISSING, DIRECT_ROW, OPTION, EXISTS = "11", "12", "13", "14", "15"
HTTP_METHOD, NO_ACCESS, NO_FUNCTION, INTERNAL = "19", "20", "21", "-1"

_STATUS = {
    NOT_SUPPORTED: 501,
    NO_TYPE: 404,
    NO_INSTANCE: 404,
    HTTP_METHOD: 405,
    NO_ACCESS: 401,
    INTERNAL: 500,
}


class ODataError(Exception):
    """A refusal: `code` as in the guide, `status` the HTTP status, the text in Russian as 1C writes it."""

    def __init__(self, code: str, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = _STATUS.get(code, 400) if status is None else status


def refusal(text: str) -> ODataError:
    """An exception of the configuration itself: HTTP 500, code -1."""
    return ODataError(INTERNAL, text)


def error_body(code: str, text: str, *, json: bool) -> tuple[str, bytes]:
    """(content type, body) of an error answer."""
    if json:
        body = {"odata.error": {"code": code, "message": {"lang": "ru", "value": text}}}
        return "application/json;charset=utf-8", msgspec.json.encode(body)
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<m:error xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">\n'
        f"\t<m:code>{escape(code)}</m:code>\n\t<m:message>{escape(text)}</m:message>\n</m:error>"
    )
    return "application/xml;charset=utf-8", xml.encode()
