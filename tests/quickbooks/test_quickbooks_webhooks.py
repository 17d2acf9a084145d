"""Webhooks of QuickBooks in both forms: hints of our company alone, and no forged ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from resources.connector import Delivery, Forged, Hint
from tests.quickbooks.realm import REALM, books, counted

OLD = {
    "eventNotifications": [
        {"realmId": REALM, "dataChangeEvent": {"entities": [
            {"name": "Customer", "id": "43", "operation": "Merge", "deletedId": "44", "lastUpdated": "2016-10-05T03:07:04.000Z"},
            {"name": "Invoice", "id": "9", "operation": "Create", "lastUpdated": "2016-10-05T03:07:04.000Z"},
            {"name": "Class", "id": "1", "operation": "Create", "lastUpdated": "2016-10-05T03:07:04.000Z"},
            {"name": "JournalEntry", "id": "8", "operation": "Create", "lastUpdated": "2016-10-05T03:07:04.000Z"}]}},
        {"realmId": "1", "dataChangeEvent": {"entities": [{"name": "Invoice", "id": "7", "operation": "Create"}]}},
    ]
}  # fmt: skip
NEW = [
    {"specversion": "1.0", "id": "a", "source": "intuit.x", "type": "qbo.invoice.updated.v1",
     "time": "2025-10-07T19:59:07.034359333Z", "intuitentityid": "1234", "intuitaccountid": REALM, "data": {}},
    {"specversion": "1.0", "id": "b", "source": "intuit.x", "type": "qbo.invoice.updated.v1",
     "time": "2025-10-07T19:59:07.034359333Z", "intuitentityid": "1", "intuitaccountid": "310687", "data": {}},
]  # fmt: skip


def delivery(body: Any, token: str = "verifier") -> Delivery:
    content = json.dumps(body).encode()
    signature = base64.b64encode(hmac.new(token.encode(), content, hashlib.sha256).digest()).decode()
    return Delivery({}, {"intuit-signature": signature}, content)


def test_both_forms_of_webhooks_are_heard_of_our_company_alone() -> None:
    source = books(lambda request: counted(0), verifier="verifier")
    assert source.hear(delivery(OLD)) == [
        Hint("counterparty", "43"), Hint("counterparty", "44"), Hint("realization", "9"), Hint("entry"),
    ]  # fmt: skip
    assert source.hear(delivery(NEW)) == [Hint("realization", "1234")]


def test_a_webhook_that_proves_nothing_is_forged_and_a_strange_body_is_told() -> None:
    source = books(lambda request: counted(0), verifier="verifier")
    with pytest.raises(Forged, match="does not fit verifier_token"):
        source.hear(delivery(OLD, "somebody"))
    with pytest.raises(ValueError, match="has no eventNotifications"):
        source.hear(delivery({"hello": 1}))
    with pytest.raises(ValueError, match="not of CloudEvents"):
        source.hear(delivery([1]))
