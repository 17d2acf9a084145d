"""A plain client of the QuickBooks stand-in: it adds the token and hides nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import msgspec

from tests.sandbox_process import Running

NAME = "quickbooks"
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Realm:
    """One company file of a running sandbox, with a token of its own."""

    def __init__(self, running: Running) -> None:
        self.running, self.http = running, running.http
        self.said = self.control("connection")
        self.root = f"{self.said['base_url']}/v3/company/{self.said['realm_id']}"
        self.headers = {"Accept": "application/json"}
        self.log_in()

    def log_in(self) -> None:
        self.headers["Authorization"] = f"Bearer {self.refresh().json()['access_token']}"

    def refresh(self, token: str | None = None, **headers: str) -> httpx.Response:
        token = token or self.control("connection")["refresh_token"]
        form = {"grant_type": "refresh_token", "refresh_token": token}
        client = (self.said["client_id"], self.said["client_secret"])
        return self.http.post(self.said["token_url"], data=form, auth=client, headers=headers)

    def control(self, path: str = "", said: Any = None) -> Any:
        found = self.running.control(f"accounting/{NAME}{'/' if path else ''}{path}", said)
        assert "error" not in found, found
        return found

    def do(self, act: str, **said: Any) -> Any:
        return self.control("do", {"do": act, **said})

    def option(self, **said: Any) -> None:
        self.control("do", {"option": said})

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.http.get(f"{self.root}/{path}", params=params, headers=self.headers)

    def post(self, path: str, body: Any, **params: Any) -> httpx.Response:
        headers = {**self.headers, "Content-Type": "application/json"}
        return self.http.post(f"{self.root}/{path}", content=_encode(body), params=params, headers=headers)

    def read(self, kind: str, key: str) -> dict[str, Any]:
        answer = self.get(f"{kind.lower()}/{key}")
        assert answer.status_code == 200, answer.text
        return dict(_decode(answer.content)[kind])

    def write(self, kind: str, body: Any, **params: Any) -> dict[str, Any]:
        answer = self.post(kind.lower(), body, **params)
        assert answer.status_code == 200, answer.text
        return dict(_decode(answer.content)[kind])

    def query(self, text: str) -> dict[str, Any]:
        answer = self.get("query", query=text)
        assert answer.status_code == 200, answer.text
        return dict(_decode(answer.content)["QueryResponse"])

    def rows(self, text: str) -> list[dict[str, Any]]:
        found = self.query(text)
        return next((value for value in found.values() if isinstance(value, list)), [])

    def count(self, kind: str, where: str = "") -> int:
        return int(self.query(f"SELECT COUNT(*) FROM {kind} {where}")["totalCount"])

    def tax(self, name: str = "20% S") -> str:
        return str(self.rows(f"SELECT * FROM TaxCode WHERE Name = '{name}'")[0]["Id"])

    def customer(self, currency: str = "RUB") -> str:
        people = self.rows("SELECT * FROM Customer ORDERBY Id MAXRESULTS 1000")
        return str(next(row["Id"] for row in people if row["CurrencyRef"]["value"] == currency))

    def item(self, kind: str = "Service") -> str:
        return str(self.rows(f"SELECT * FROM Item WHERE Type = '{kind}' ORDERBY Id")[0]["Id"])

    def invoice(self, amount: str = "100.00", **more: Any) -> dict[str, Any]:
        """A body of one line; `more` are further fields."""
        line = self.line(amount)
        return {
            "CustomerRef": {"value": self.customer()},
            "Line": [line],
            "GlobalTaxCalculation": "TaxExcluded",
            **more,
        }

    def line(self, amount: str, tax: str = "20% S", item: str = "", **detail: Any) -> dict[str, Any]:
        inner = {"ItemRef": {"value": item or self.item()}, "TaxCodeRef": {"value": self.tax(tax)}, **detail}
        return {"Amount": Decimal(amount), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": inner}

    def payment(self, invoice: dict[str, Any], amount: str, **more: Any) -> dict[str, Any]:
        linked = [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]
        line = {"Amount": Decimal(amount), "LinkedTxn": linked}
        return {"CustomerRef": invoice["CustomerRef"], "TotalAmt": Decimal(amount), "Line": [line], **more}

    def accounts(self) -> dict[str, Decimal]:
        """Trial balance by account id, debit positive."""
        answer = self.get("reports/TrialBalance")
        found = {}
        for row in answer.json()["Rows"]["Row"]:
            if "ColData" in row:
                name, debit, credit = row["ColData"]
                found[name["id"]] = Decimal(debit["value"] or 0) - Decimal(credit["value"] or 0)
        return found


def _encode(body: Any) -> bytes:
    return msgspec.json.Encoder(decimal_format="number").encode(body)


def fault(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    """The one error of a refusal."""
    assert answer.status_code == status, answer.text
    return dict(answer.json()["Fault"]["Error"][0])


def changed(row: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body of a sparse update of a record as it was read."""
    return {"Id": row["Id"], "SyncToken": row["SyncToken"], "sparse": True, **fields}
