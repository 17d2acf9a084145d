"""What QuickBooks says when it refuses, and what that means.

A fault comes as `Fault` or, where the token is the cause, as `fault`, with other capitals inside; with any HTTP status,
200 among them; once in a while as XML. Codes: developer.intuit.com, troubleshooting, error codes. Where one code is
given for two things its message decides: 5010 is told for a stale record and was met with a closed period too, and both
6140 and 6210 are told of for a number used twice and for a closed period.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from resources.connector import Conflict, Refused
from resources.http import OK, Answer, Verdict, by_status, retry_after

THROTTLED: Final = 60.0  # seconds: the vendor's advice; its Retry-After is not to be relied on
SHORT: Final = 200_000  # bytes: a body that says only what went wrong is no longer
TWICE: Final = ("6140", "6210")  # a document's number is used already
DUPLICATE: Final = "6240"
ABSENT: Final = "610"
UNKNOWN_QUERY: Final = ("4000", "4001")
CLOSED: Final = "closed_period"

_CLOSED = re.compile(
    r"(?i)period\s+(?:has\s+|have\s+|is\s+|was\s+)?(?:been\s+)?closed|closed\s+(?:accounting\s+)?period"
    r"|books?\s+(?:are|is|have\s+been|has\s+been|were)\s+closed|clos(?:ed|ing)\s+date"
)
_STALE = re.compile(r"(?i)stale|working on this at the same time|SyncToken")
_TAGGED = re.compile(
    rb"(?is)<Error[^>]*code=\"(?P<code>[^\"]*)\".*?<Message>(?P<message>.*?)</Message>(?:.*?<Detail>(?P<detail>.*?)</Detail>)?"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """The first error of a fault; `kind` is ValidationFault, AuthenticationFault, SystemFault ... in small letters."""

    code: str
    text: str
    kind: str = ""

    @property
    def is_closed_period(self) -> bool:
        return bool(_CLOSED.search(self.text))

    @property
    def is_stale(self) -> bool:
        return self.code == "5010" and bool(_STALE.search(self.text)) and not self.is_closed_period

    @property
    def is_throttle(self) -> bool:
        return self.code.lstrip("0") == "3001" or "ThrottleExceeded" in self.text


def fault_in(held: Any) -> Fault | None:
    """The fault of a decoded answer, or of one item of a batch; None where there is none."""
    if not isinstance(held, Mapping):
        return None
    said = held.get("Fault") or held.get("fault")
    if not isinstance(said, Mapping):
        return None
    errors = said.get("Error") or said.get("error") or [{}]
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], Mapping) else {}
    message = str(first.get("Message") or first.get("message") or "").strip()
    detail = str(first.get("Detail") or first.get("detail") or "").strip()
    element = str(first.get("element") or "").strip()
    text = message if not detail or detail == message else f"{message}: {detail}" if message else detail
    if element:
        text += f" ({element})"
    return Fault(str(first.get("code") or ""), text, str(said.get("type") or "").lower())


def fault_of(answer: Answer) -> Fault | None:
    """The fault of an answer."""
    content = answer.content
    if answer.status == 200 and len(content) > SHORT:
        return None
    if answer.is_json and (b"ault" in content[:SHORT]):
        try:
            return fault_in(answer.json())
        except ValueError:
            return None
    if content.lstrip()[:1] == b"<" and (found := _TAGGED.search(content[:SHORT])) is not None:
        words = [
            part.decode("utf-8", "replace").strip()
            for part in (found["message"], found["detail"] or b"")
            if part
        ]
        return Fault(found["code"].decode("utf-8", "replace"), ": ".join(words))
    return None


def refusal(what: str, fault: Fault) -> Refused:
    """A fault as the refusal of one record. `what` names the system and the record."""
    verdict = judged(fault, "")
    remedy = f"; {verdict.remedy}" if verdict.remedy else ""
    return verdict.error(f"{what}: {verdict.reason}{remedy}", code=verdict.code)


def judged(fault: Fault, about: str) -> Verdict:
    """What a fault of validation means. `about` stands before the vendor's text."""
    reason = f"{about}{fault.text or 'refused without a word'} (QuickBooks code {fault.code or 'none'})"
    if fault.is_closed_period:
        return Verdict(
            "refused", reason, "an accountant opens the period, or the document gets a later date", CLOSED
        )
    if fault.is_stale:
        remedy = "somebody changed it meanwhile: it is read again first"
        return Verdict("refused", reason, remedy, "5010", error=Conflict)
    return Verdict("refused", reason, _REMEDIES.get(fault.code, ""), fault.code)


NO_PERMISSION: Final = "5020"
_REMEDIES: Final = {
    NO_PERMISSION: "the person who connected the company must be its administrator, and may have lost that right",
    "610": "what it refers to was deleted or made inactive; make it active again in QuickBooks, or choose another",
    "2010": "correct the names of fields in the mapping",
    "2030": "the id is none of this company's; see that realm_id is the right company",
    "2500": "what it refers to is not there; correct the reference in the mapping, or create it in QuickBooks",
    "6190": "the company's subscription has ended; renew it in QuickBooks",
    "6140": "another document bears this number",
}


def verdict(answer: Answer, about: str = "", *, write: bool = False) -> Verdict:
    """What an answer means. `about` stands before the vendor's text in messages, with `: ` at its end."""
    fault = fault_of(answer)
    if answer.status == 200 and fault is None:
        return OK
    said = fault.text if fault is not None else answer.text
    reason = f"{about}{said or 'no word'} (HTTP {answer.status})"
    if answer.status == 429 or (fault is not None and fault.is_throttle):
        # Retry-After is not always there, and not always enough.
        after = max(THROTTLED, retry_after(answer.headers) or 0.0)
        return Verdict(
            "retry",
            reason,
            "the limit of requests is used up; nothing to do unless it stays",
            "429",
            after,
            "",
        )
    if answer.status == 401 or (fault is not None and "authentication" in fault.kind):
        remedy = "connect the company once more, and put the new refresh_token into the connection"
        return Verdict("unauthorized", reason, remedy, "401")
    if write and fault is not None and fault.code == NO_PERMISSION:  # of this kind of record; others go on
        return judged(fault, about)
    if answer.status == 403 or (fault is not None and "authorization" in fault.kind):
        if fault is not None and fault.code.lstrip("0") == "3100":
            remedy = (
                "realm_id is of another company or environment than the token: correct realm_id or base_url"
            )
        else:
            remedy = _REMEDIES[NO_PERMISSION]
        return Verdict("unauthorized", reason, remedy, "403")
    if answer.status >= 500 or answer.status == 408:
        return Verdict("uncertain", reason, "try again later; status.developer.intuit.com tells of outages")
    if fault is None:
        return by_status(answer)
    if fault.kind in ("systemfault", "servicefault", "service") or fault.code == "10000":
        return Verdict("uncertain", reason, "QuickBooks failed inside; try again later", fault.code)
    return judged(fault, about)
