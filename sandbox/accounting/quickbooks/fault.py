"""Refusals in the vendor's words, in both of its casings.

A refusal of the accounting service is `{"Fault": {"Error": [...], "type"}, "time"}`; one of the gateway in
front of it (tokens, realms, limits) is lower-case `{"fault": {"error": [...]}}` among a row of nulls. Texts
are those of recorded answers and of the vendor's pages on error codes.
"""

from __future__ import annotations

from typing import Any, Final

INACTIVE: Final = (
    "Object Not Found : Something you're trying to use has been made inactive. Check the fields with accounts, "
    "customers, items, vendors or employees."
)
CLOSED_TEXT: Final = (
    "The account period has closed and the account books cannot be updated through through the QBO Services API.  "
    "Please use the QBO website to make these changes."
)
MISSING: Final = "Required param missing, need to supply the required value for the API"
NO_ASSET: Final = (
    "Required parameter is missing in the request. An inventory assetaccount is required if you are tracking "
    "inventory quantities for this product."
)
BUSINESS: Final = "A business validation error has occurred while processing your request"


class Refused(Exception):
    """A refusal by the accounting service: HTTP status, code, its two texts and the field it speaks of."""

    def __init__(
        self,
        code: str,
        message: str,
        detail: str,
        element: str | None = "",
        *,
        status: int = 400,
        kind: str = "ValidationFault",
    ) -> None:
        super().__init__(f"{code} {detail}")
        self.status, self.code, self.message, self.detail = status, code, message, detail
        self.element, self.kind = element, kind

    def fault(self) -> dict[str, Any]:
        error = {"Message": self.message, "Detail": self.detail, "code": self.code}
        if self.element is not None:
            error["element"] = self.element
        return {"Error": [error], "type": self.kind}

    def body(self, time: str) -> dict[str, Any]:
        return {"Fault": self.fault(), "time": time}


class Barred(Exception):
    """A refusal by the gateway: wrong token, wrong company, too many requests."""

    def __init__(self, status: int, message: str, detail: str | None, code: str, kind: str) -> None:
        super().__init__(message)
        self.status, self.message, self.detail, self.code, self.kind = status, message, detail, code, kind

    def body(self, milliseconds: int) -> dict[str, Any]:
        error = {"message": self.message, "detail": self.detail, "code": self.code, "element": None}
        return {
            "warnings": None, "intuitObject": None, "fault": {"error": [error], "type": self.kind}, "report": None,
            "queryResponse": None, "batchItemResponse": [], "attachableResponse": [], "syncErrorResponse": None,
            "requestId": None, "time": milliseconds, "status": None, "cdcresponse": [],
        }  # fmt: skip


def token_refused(token: str) -> Barred:
    detail = f"Token expired: {token[:12]}" if token else "Token missing"
    text = "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    return Barred(401, text, detail, "3200", "AUTHENTICATION")


def wrong_realm() -> Barred:
    text = "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403"
    return Barred(403, text, None, "3100", "SERVICE")


def throttled() -> Barred:
    text = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
    return Barred(429, text, "The request limit was reached.  Try again later", "3001", "SERVICE")


def missing(name: str) -> Refused:
    return Refused("2020", MISSING, f"Required parameter {name} is missing in the request", name)


def unknown_reference(family: str, key: str) -> Refused:
    """`family` is the vendor's table: Accounts, Names, Items, Klasses, Depts, Terms, TaxCodes."""
    return Refused(
        "2500", "Invalid Reference Id", f"Invalid Reference Id : {family} element id {key} not found"
    )


def not_found() -> Refused:
    return Refused("610", "Object Not Found", INACTIVE)


def deleted_meanwhile() -> Refused:
    return Refused("610", "Object Not Found", "Object Not Found : Another user has deleted this transaction.")


def stale(user: str) -> Refused:
    text = (
        f"Stale Object Error : You and {user} were working on this at the same time. {user} finished before you did, "
        "so your work was not saved."
    )
    return Refused("5010", "Stale Object Error", text)


def business(text: str, element: str | None = "") -> Refused:
    return Refused("6000", BUSINESS, f"Business Validation Error: {text}", element)


def name_taken(detail: str) -> Refused:
    return Refused(
        "6240", "Duplicate Name Exists Error", f"The name supplied already exists. : {detail}", None
    )


def number_taken(text: str, kind: str, key: str) -> Refused:
    detail = (
        "Duplicate Document Number Error : You must specify a different number. This number has already been used. "
        f"DocNumber={text} is assigned to TxnType={kind} with TxnId={key}"
    )
    return Refused("6140", "Duplicate Document Number Error", detail)


def closed(how: str) -> Refused:
    """The books are closed. `how` is which of the reported answers is played: 6210, 6200 or 5010."""
    if how == "6210":
        return Refused("6210", "Account Period Closed, Cannot Update Through Services API", CLOSED_TEXT)
    return Refused(how, "Account Period Closed", "The account period has closed. {1}")


def bad_property(name: str, kind: str, known: int) -> Refused:
    detail = (
        f'Property Name:Unrecognized field "{name}" (class com.intuit.schema.finance.v3.{kind}), not marked as '
        f"ignorable ({known} known properties)\n specified is unsupported or invalid"
    )
    return Refused("2010", "Request has invalid or unsupported property", detail, None)


def too_long(name: str, least: int, most: int, length: int) -> Refused:
    message = "String length is either shorter or longer than supported by specification"
    detail = (
        f"String length specified does not match the supported length. Min:{least} Max:{most} supported. "
        f"Supplied length:{length}"
    )
    return Refused("2050", message, detail, name)


def invalid_id(value: str) -> Refused:
    return Refused("2030", "Invalid ID", f"Id should be a valid number. Supplied value:{value}", "Id")


def invalid_number(name: str) -> Refused:
    return Refused("2080", "Invalid Number Format", f"Invalid Number : {name}", name)


def invalid_date(name: str, value: str) -> Refused:
    return Refused("2070", "Invalid Date", f"Invalid Date. Supplied value:{value}", name)


def parse_error(detail: str) -> Refused:
    return Refused("4000", "Error parsing query", f"QueryParserError: {detail}", None)


def query_error(detail: str) -> Refused:
    return Refused("4001", "Invalid query", f"QueryValidationError: {detail}", None)


def unsupported(path: str, full: str) -> Refused:
    detail = f"Operation Could not find resource for relative : {path} of full path: {full} is not supported."
    return Refused("500", "Unsupported Operation", detail, None)


def not_supported(what: str) -> Refused:
    return Refused("500", "Unsupported Operation", f"Operation {what} is not supported.", None)


def broken() -> Refused:
    """What a request of another shape than the service can read comes to."""
    message = "An application error has occurred while processing your request"
    return Refused(
        "10000",
        message,
        "System Failure Error: Error processing the request",
        "",
        status=500,
        kind="SystemFault",
    )
