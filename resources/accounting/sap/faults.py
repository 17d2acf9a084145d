"""What an answer of SAP Gateway means, and the words in which it is told."""

from __future__ import annotations

import re
from typing import Final

from resources.accounting.sap import odata
from resources.connector import Conflict, Exists, Refused, SourceError, Uncertain
from resources.http import OK, Answer, Verdict, by_status, mask, retry_after

CLOSED: Final = "closed_period"
NO_DATA: Final = "/IWBEP/CM_MGW_RT/022"  # "not found"; some services answer a list without rows by it
_STALE: Final = "/IWBEP/CM_MGW_RT/190"
_NO_SERVICE: Final = ("/IWFND/MED/170", "/IWFND/CM_BEC/026")

_CLOSED_TEXT: Final = re.compile(
    r"posting period \S+ \S+ (is )?(not open|closed)|period \S+ is closed|buchungsperiode .{0,40}nicht ge.ffnet"
    r"|период проводки .{0,40}не открыт",
    re.IGNORECASE,
)
_LOCK_TEXT: Final = re.compile(
    r"is (currently|already) being processed|is (currently )?locked|blocked by (user|transaction)|wird (gerade|bereits)? ?.{0,20}bearbeitet"
    r"|gesperrt durch|обрабатывается пользователем|заблокирован",
    re.IGNORECASE,
)
_EXISTS_TEXT: Final = re.compile(r"already exists|existiert bereits|уже существует", re.IGNORECASE)
_WAIT: Final = "nothing to do unless it stays; then let fewer requests run at once (concurrency)"


class StaleToken(Refused):
    """The CSRF token or its session has ended: another one is fetched, once."""


def read_verdict(service: str, who: str, answer: Answer) -> Verdict:
    """The meaning of an answer to a read of one service."""
    fault = odata.fault(answer.content) if answer.status >= 400 or _is_fault(answer) else odata.Fault()
    if 200 <= answer.status < 300 and fault.text:
        return Verdict(
            "uncertain", f"HTTP {answer.status} with an error inside: {_said(fault)}", "try again later"
        )
    if answer.status < 400:
        return by_status(answer)
    reason = f"HTTP {answer.status}: {_said(fault) or answer.text or 'without a word'}"
    match answer.status:
        case 401:
            return Verdict("unauthorized", reason, _stranger(who), fault.code)
        case 403 if fault.code in _NO_SERVICE or "no service found" in reason.lower():
            return Verdict("refused", reason, _unknown(service), fault.code)
        case 403:
            return Verdict(
                "refused", f"{who} may not read {service}: {reason}", _right(service), fault.code or "403"
            )
        case 404 if fault.code in _NO_SERVICE or not fault.code:
            return Verdict("refused", reason, _unknown(service), fault.code or "404")
        case 429:
            return Verdict("retry", reason, _WAIT, fault.code, bucket="")
        case 503 if retry_after(answer.headers) is not None:
            return Verdict("retry", reason, _WAIT, fault.code, bucket="")
        case status if status >= 500 or status == 408:
            return Verdict("retry", reason, "try again later; if it stays, see /IWFND/ERROR_LOG", fault.code)
    return Verdict("refused", reason, code=fault.code or str(answer.status))


def write_verdict(subject: str, service: str, who: str, closed: str, answer: Answer) -> Verdict:
    """The meaning of an answer to a write. `closed`: a text that tells a closed period, beside SAP's own."""
    fault = odata.fault(answer.content) if answer.status >= 400 or _is_fault(answer) else odata.Fault()
    if 200 <= answer.status < 300:
        if fault.text:
            return Verdict(
                "uncertain", f"{subject}: HTTP {answer.status} with an error inside: {_said(fault)}"
            )
        return OK
    if answer.status < 400:
        return by_status(answer)
    said = _said(fault) or answer.text
    reason = f"{subject}: {said or f'HTTP {answer.status}'}"
    code = fault.code or str(answer.status)
    match answer.status:
        case 401:
            return Verdict("unauthorized", reason, _stranger(who), code)
        case 403 if answer.headers.get("x-csrf-token", "").lower() == "required":
            return Verdict("refused", reason, code="csrf", error=StaleToken)
        case 403 if "csrf" in said.lower():
            return Verdict("refused", reason, code="csrf", error=StaleToken)
        case 403:
            return Verdict("refused", f"{who} may not write it: {reason}", _right(service), code)
        case 412:
            return Verdict("refused", reason, "it changed meanwhile: read it again", code, error=Conflict)
        case 423 | 409:
            return Verdict("retry", reason, _WAIT, code)
        case 429:
            return Verdict("retry", reason, _WAIT, code, bucket="")
        case 503 if retry_after(answer.headers) is not None:
            return Verdict("retry", reason, _WAIT, code, bucket="")
        case status if status >= 500 or status == 408:
            return Verdict("uncertain", f"{reason} (HTTP {status})", code=code)
    if fault.code == _STALE:
        return Verdict("refused", reason, "it changed meanwhile: read it again", code, error=Conflict)
    if _CLOSED_TEXT.search(said) or (closed and closed.lower() in said.lower()):
        return Verdict("refused", reason, "let the accountant open the period, or date it otherwise", CLOSED)
    if _LOCK_TEXT.search(said):
        return Verdict("retry", reason, "somebody works on it: it is tried again", code)
    if _EXISTS_TEXT.search(said):
        return Verdict("refused", reason, code=code, error=Exists)
    return Verdict("refused", reason, code=code)


def failure(what: str, verdict: Verdict) -> SourceError:
    """The error of one part of a batch, as a request of its own would have raised it."""
    message = mask(f"{what}: {verdict.reason}") + (f"; {verdict.remedy}" if verdict.remedy else "")
    match verdict.kind:
        case "refused":
            return verdict.error(message, code=verdict.code)
        case "uncertain":
            return Uncertain(f"{message}; it is looked up before anything is sent again")
        case kind:
            return SourceError(message, retriable=kind != "unauthorized")


def _is_fault(answer: Answer) -> bool:
    return answer.content[:40].lstrip().replace(b" ", b"").startswith((b'{"error"', b"<error"))


def _said(fault: odata.Fault) -> str:
    return f"{fault.text} ({fault.code})" if fault.text and fault.code else fault.text or fault.code


def _stranger(who: str) -> str:
    return f"check the credentials of {who} in the connection, and that the user is not locked (SU01, or the communication user)"


def _right(service: str) -> str:
    return (
        f"give the user the right to {service}: in the cloud a communication arrangement of its scenario, on-premise "
        "the service in its role (S_SERVICE) and the business object's own authorizations (SU53 names what is missing)"
    )


def _unknown(service: str) -> str:
    return (
        f"activate {service} (on-premise /IWFND/MAINT_SERVICE, in the cloud a communication arrangement), and see that "
        "url in the connection ends in /sap/opu/odata/sap/"
    )
