"""A logged-in client of the S/4HANA stand-in over plain HTTP, with its session token, and a few bodies."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.sandbox_process import Running

MAX_PAGES = 500
ORDERS, BILLING, PARTNERS, PRODUCTS = (
    "API_SALES_ORDER_SRV", "API_BILLING_DOCUMENT_SRV", "API_BUSINESS_PARTNER", "API_PRODUCT_SRV",
)  # fmt: skip
OPEN_ITEMS = "API_OPLACCTGDOCITEMCUBE_SRV/A_OperationalAcctgDocItemCube"
LINES = "API_GLACCOUNTLINEITEM/GLAccountLineItem"
AREA = {"SalesOrganization": "1010", "DistributionChannel": "10", "OrganizationDivision": "00"}


@dataclass
class S4:
    sandbox: Running
    http: httpx.Client = field(init=False)
    token: str = ""

    def __post_init__(self) -> None:
        self.said: dict[str, Any] = self.sandbox.control("accounting/sap/connection")
        self.root: str = self.said["service_root"]
        self.http = httpx.Client(
            auth=(self.said["user"], self.said["password"]),
            headers={"Accept": "application/json"},
            timeout=60,
        )

    def fetch_token(self) -> str:
        answer = self.http.get(f"{self.root}/{ORDERS}/", headers={"x-csrf-token": "Fetch"})
        assert answer.status_code == 200, answer.text
        self.token = answer.headers["x-csrf-token"]
        return self.token

    def ask(self, path: str, **headers: str) -> httpx.Response:
        url = path if path.startswith("http") else f"{self.root}/{path}"
        return self.http.get(url, headers=headers)

    def get(self, path: str) -> Any:
        answer = self.ask(path)
        assert answer.status_code == 200, answer.text
        return answer.json()["d"]

    def rows(self, path: str) -> list[dict[str, Any]]:
        return [row for page in self.pages(path) for row in page["results"]]

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        for _ in range(MAX_PAGES):
            page = self.get(path)
            yield page
            if "__next" not in page:
                return
            path = page["__next"]
        raise AssertionError("the list has no end")

    def write(self, method: str, path: str, said: Any = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        token = self.token or self.fetch_token()
        return self.http.request(
            method, f"{self.root}/{path}", json=said, headers={"x-csrf-token": token, **named}
        )

    def post(self, path: str, said: Any) -> dict[str, Any]:
        answer = self.write("POST", path, said)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()["d"]
        return made

    def patch(self, path: str, said: Any, etag: str = "*") -> httpx.Response:
        answer = self.write("PATCH", path, said, If_Match=etag)
        assert answer.status_code == 204, answer.text
        return answer

    def refused(self, answer: httpx.Response) -> tuple[int, str, str]:
        """Status, code and text of a refusal."""
        assert answer.status_code >= 400, answer.text
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"]["value"]

    def batch(
        self, service: str, *parts: list[tuple[str, str, Any]] | str
    ) -> list[httpx.Response | tuple[int, str]]:
        """Parts are reads (an address) or change sets (method, address, body); (status, body) of each answer."""
        name, lines = f"batch_{uuid.uuid4().hex}", []
        for part in parts:
            lines.append(f"--{name}")
            if isinstance(part, str):
                lines += [
                    "Content-Type: application/http",
                    "",
                    f"GET {part} HTTP/1.1",
                    "Accept: application/json",
                    "",
                    "",
                ]
                continue
            inner = f"changeset_{uuid.uuid4().hex}"
            lines += [f"Content-Type: multipart/mixed; boundary={inner}", ""]
            for number, (method, address, said) in enumerate(part, 1):
                body = (
                    httpx.Request("POST", "http://x", json=said).content.decode() if said is not None else ""
                )
                lines += [f"--{inner}", "Content-Type: application/http", "Content-Transfer-Encoding: binary",
                          f"Content-ID: {number}", "", f"{method} {address} HTTP/1.1", "Content-Type: application/json",
                          "Accept: application/json", "If-Match: *", "", body]  # fmt: skip
            lines += [f"--{inner}--", ""]
        lines.append(f"--{name}--")
        answer = self.http.post(
            f"{self.root}/{service}/$batch",
            content="\r\n".join(lines).encode(),
            headers={
                "Content-Type": f"multipart/mixed; boundary={name}",
                "x-csrf-token": self.token or self.fetch_token(),
            },
        )
        assert answer.status_code == 202, answer.text
        self.answered = answer
        found = re.split(r"(?=HTTP/1\.1 \d{3})", answer.text)[1:]
        return [(int(each[9:12]), each.split("\r\n\r\n", 1)[1].split("\r\n--")[0]) for each in found]

    def do(self, **said: Any) -> Any:
        return self.sandbox.control("accounting/sap/do", said)

    def option(self, name: str, value: str) -> None:
        assert "options" in self.do(do="option", option=name, value=value)

    def tick(self, days: int, seed: int = 0) -> Any:
        return self.sandbox.control("accounting/sap/tick", {"days": days, "seed": seed})

    def truth(self) -> Any:
        return self.sandbox.control("accounting/sap")

    def customer(self) -> str:
        """A customer at home that nothing speaks against."""
        rows = self.get(
            f"{PARTNERS}/A_BusinessPartner?$filter=IsMarkedForArchiving eq false&$expand=to_BusinessPartnerTax"
        )
        return next(
            row["Customer"]
            for row in rows["results"]
            if row["Customer"] and row["to_BusinessPartnerTax"]["results"]
        )

    def goods(self, kind: str = "HAWA", tax: str = "1") -> str:
        rows = self.get(
            f"{PRODUCTS}/A_Product?$filter=ProductType eq '{kind}' and ProductOldID ne ''&$expand=to_ProductSalesTax&$orderby=Product"
        )
        return next(
            row["Product"] for row in rows["results"]
            if row["to_ProductSalesTax"]["results"][0]["TaxClassification"] == tax
        )  # fmt: skip

    def order(self, *items: tuple[str, str, str], **more: Any) -> dict[str, Any]:
        """The body of an order; items are (product, quantity, net price)."""
        rows = [
            {"Material": product, "RequestedQuantity": amount, "RequestedQuantityUnit": "PC",
             "to_PricingElement": [{"ConditionType": "PPR0", "ConditionRateValue": price, "ConditionCurrency": "RUB",
                                    "ConditionQuantity": "1", "ConditionQuantityUnit": "PC"}]}
            for product, amount, price in items
        ]  # fmt: skip
        return {"SalesOrderType": "OR", **AREA, "SoldToParty": self.customer(), "to_Item": rows, **more}


def partner(name: str, inn: str = "7701234567", **more: Any) -> dict[str, Any]:
    """The body of a customer: roles, address, tax number, company and sales area data."""
    area = {"SalesOrganization": "1010", "DistributionChannel": "10", "Division": "00"}
    return {
        "BusinessPartnerCategory": "2", "BusinessPartnerGrouping": "BP01", "OrganizationBPName1": name,
        "SearchTerm1": "crm-77", "to_BusinessPartnerRole": [{"BusinessPartnerRole": "FLCU00"}, {"BusinessPartnerRole": "FLCU01"}],
        "to_BusinessPartnerAddress": {"results": [{
            "Country": "RU", "CityName": "Москва", "PostalCode": "105005", "StreetName": "ул. Бауманская",
            "to_EmailAddress": [{"EmailAddress": "a@b.ru", "IsDefaultEmailAddress": True}],
        }]},
        "to_BusinessPartnerTax": [{"BPTaxType": "RU1", "BPTaxNumber": inn}],
        "to_Customer": {
            "to_CustomerCompany": [{"CompanyCode": "1010", "ReconciliationAccount": "12100000", "PaymentTerms": "NT30"}],
            "to_CustomerSalesArea": [{
                **area, "Currency": "RUB", "CustomerPaymentTerms": "NT14",
                "to_SalesAreaTax": [{**area, "DepartureCountry": "RU", "CustomerTaxCategory": "TTX1", "CustomerTaxClassification": "1"}],
            }],
        },
        **more,
    }  # fmt: skip
