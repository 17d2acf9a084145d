"""Webhooks as the vendor sends them, in its old and in its CloudEvents form, signed with the verifier token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from datetime import UTC, datetime
from typing import Final

from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.values import Row, encode, utc_text
from sandbox.office import Letter

MOST_IN_ONE: Final = 100
SPOKEN: Final = frozenset(
    [
        "Account",
        "Bill",
        "BillPayment",
        "Class",
        "CreditMemo",
        "Customer",
        "Department",
        "Deposit",
        "Employee",
        "Estimate",
        "Invoice",
        "Item",
        "JournalEntry",
        "Payment",
        "PaymentMethod",
        "Preferences",
        "Purchase",
        "PurchaseOrder",
        "RefundReceipt",
        "SalesReceipt",
        "Term",
        "Transfer",
        "Vendor",
        "VendorCredit",
        "Currency",
        "TimeActivity",
        "Budget",
    ]
)
VERBS: Final = {"Create": "created", "Update": "updated", "Delete": "deleted", "Void": "voided", "Merge": "merged",
                "Emailed": "emailed"}  # fmt: skip


def since(file: CompanyFile) -> list[Letter]:
    """Letters about what happened since the last call, oldest first; what happened is then forgotten."""
    events = [event for event in file.events if event["name"] in SPOKEN]
    file.events.clear()
    write = _old if file.options.hook_form == "old" else _cloud
    found = []
    for start in range(0, len(events), MOST_IN_ONE):
        body = write(file, events[start : start + MOST_IN_ONE])
        headers = {"content-type": "application/json", "intuit-signature": signature(file.books.named("verifier"), body),
                   "intuit-t-id": uuid.uuid4().hex, "intuit-created-time": utc_text(int(file.now()))}  # fmt: skip
        found.append(Letter(file.options.hook_url, body, headers))
    return found


def signature(verifier: str, body: bytes) -> str:
    return base64.b64encode(hmac.new(verifier.encode(), body, hashlib.sha256).digest()).decode()


def _old(file: CompanyFile, events: list[Row]) -> bytes:
    rows = []
    for event in events:
        row = {
            "name": event["name"],
            "id": event["id"],
            "operation": event["operation"],
            "lastUpdated": utc_text(int(event["at"])),
        }
        rows.append({**row, "deletedId": event["deletedId"]} if "deletedId" in event else row)
    return encode({"eventNotifications": [{"realmId": file.realm, "dataChangeEvent": {"entities": rows}}]})


def _cloud(file: CompanyFile, events: list[Row]) -> bytes:
    source = f"intuit.{base64.urlsafe_b64encode(hashlib.sha256(file.realm.encode()).digest()).decode()}"
    rows = []
    for event in events:
        at = datetime.fromtimestamp(event["at"], UTC)
        data = {"deletedId": event["deletedId"]} if "deletedId" in event else {}
        rows.append({
            "specversion": "1.0", "id": str(uuid.uuid4()), "source": source,
            "type": f"qbo.{event['name'].lower()}.{VERBS[event['operation']]}.v1", "datacontenttype": "application/json",
            "time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}000Z", "intuitentityid": event["id"],
            "intuitaccountid": file.realm, "data": data,
        })  # fmt: skip
    return encode(rows)
