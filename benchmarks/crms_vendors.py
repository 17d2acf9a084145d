"""What the benchmark of CRMs may know of a vendor: which answers hold deals, and how dlt is told to page.

Everything else is found: vendors by their files in mappings/crm, addresses by what the stand-in says of its
connection, fields by what our own requests ask for. A vendor without a row here is measured by itself, with nothing
beside it. Paging is as the vendors' own pages describe it for the list that integrators use, with the largest page
that it gives.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

Connection = Mapping[str, str]
Request = Mapping[str, Any]  # method, url, headers, body
Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limited:
    """How limits are measured: so many deals that they, and nothing else, make a read of everything last a minute.

    `connection`: what is set besides, smaller pages where whole ones would take millions of records.
    `day`: of a vendor that counts calls or credits of a day, which no run lasts.
    """

    deals: int
    connection: Mapping[str, str] = field(default_factory=dict)
    day: Day | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """A short allowance of a day: the window of the stand-in that counts it, and what stand-in and connection are
    told of it. So many deals that a read of everything takes a small part of it."""

    window: str
    options: Mapping[str, int]
    connection: Mapping[str, str] = field(default_factory=dict)
    deals: int = 2_000


@dataclass(frozen=True, slots=True)
class Vendor:
    """`deals` is found in `METHOD address body` of the requests that deals come by, `job` in those of a background
    job that brings them; `key` leads to the id in a row, `column` is what dlt calls it.

    `dlt` makes {"client": ..., "endpoint": ...} of the connection and of our first request for deals; without it
    nothing is compared. `limited` None: no read under the vendor's limits is measured.
    `listed` is how many rows that list gives at most: no more deals are read where contenders are compared.
    `slow`: so many times fewer deals are read of a stand-in that takes a millisecond or more for each.
    """

    deals: str = ""
    key: tuple[str, ...] = ("id",)
    dlt: Callable[[Connection, Request], Config] | None = None
    column: str = "id"
    job: str = ""
    limited: Limited | None = None
    listed: int = 1 << 60
    slow: int = 1

    def brings_deals(self, request: Request) -> bool:
        """Whether the answer holds deals."""
        return re.search(self.deals, told(request)) is not None


def described(name: str) -> Vendor:
    """What is known of a vendor."""
    return VENDORS.get(name, Vendor())


def told(request: Request) -> str:
    """A request in one line."""
    return f"{request['method']} {unquote(request['url'])} {request['body']}"


def _linked(base: str, path: str, params: Config, rows: str, link: str, **headers: str) -> Config:
    return {
        "client": {"base_url": base, "headers": headers},
        "endpoint": {
            "path": path, "params": params, "data_selector": rows,
            "paginator": {"type": "json_link", "next_url_path": link},
        },
    }  # fmt: skip


def _amocrm(connection: Connection, asked: Request) -> Config:
    params = {"limit": 250, "with": _query(asked)["with"]}
    return _linked(
        f"{connection['base_url']}/api/v4/", "leads", params, "_embedded.leads", "_links.next.href"
    )


def _dynamics(connection: Connection, asked: Request) -> Config:
    params = {"$select": _query(asked)["$select"]}
    return _linked(
        f"{connection['api']}/", "opportunities", params, "value", "['@odata.nextLink']",
        Prefer="odata.maxpagesize=5000",
    )  # fmt: skip


def _salesforce(connection: Connection, asked: Request) -> Config:
    """The link to the next page has no host, and stands below the instance's address."""
    base = connection["instance_url"]

    def following(answer: Config) -> str:
        return base + answer["nextRecordsUrl"] if not answer["done"] else ""

    return {
        "client": {"base_url": f"{base}/services/data/v{connection['api_version']}/"},
        "endpoint": {
            "path": "query", "params": {"q": json.loads(asked["body"])["query"]}, "data_selector": "records",
            "paginator": _pages(following),
        },
    }  # fmt: skip


def _zoho(connection: Connection, asked: Request) -> Config:
    said = json.loads(asked["body"])
    columns = re.match(r"select (.*?) from", said.get("select_query", ""), re.IGNORECASE)
    fields = columns[1].replace(" ", "") if columns else ",".join(said["query"]["fields"])
    return {
        "client": {"base_url": f"{connection['api_domain']}/crm/v8/"},
        "endpoint": {
            "path": "Deals", "params": {"fields": fields, "per_page": 200}, "data_selector": "data",
            "paginator": {
                "type": "cursor", "cursor_path": "info.next_page_token", "cursor_param": "page_token",
            },
        },
    }  # fmt: skip


def _megaplan(connection: Connection, asked: Request) -> Config:
    """Parameters are one JSON object, and a page begins after the last row of the one before."""
    base = f"{connection['url']}/api/v3/"
    query = json.loads(unquote(urlsplit(asked["url"]).query))

    def following(answer: Config) -> str:
        told = answer["meta"]["pagination"]
        if told["count"] < told["limit"]:
            return ""
        last = {"contentType": "Deal", "id": answer["data"][-1]["id"]}
        return f"{base}deal?{quote(json.dumps({**query, 'pageAfter': last}))}"

    return {
        "client": {"base_url": base},
        "endpoint": {
            "path": f"deal?{quote(json.dumps(query))}", "data_selector": "data", "paginator": _pages(following),
        },
    }  # fmt: skip


def _pages(following: Callable[[Config], str]) -> Any:
    """A paginator of dlt's: the address of the page after an answer, "" after the last."""
    from dlt.sources.helpers.rest_client.paginators import BasePaginator

    class Following(BasePaginator):  # type: ignore[misc]
        url = ""

        def update_state(self, response: Any, data: Any = None) -> None:
            self.url = following(response.json())
            self._has_next_page = bool(self.url)

        def update_request(self, request: Any) -> None:
            request.url, request.params = self.url, {}

    return Following()


def _query(asked: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(asked["url"]).query).items()}


VENDORS: Final[Mapping[str, Vendor]] = {
    "amocrm": Vendor(r"^GET [^?]*/api/v4/leads\?", ("id",), _amocrm, limited=Limited(40_000)),
    "dynamics": Vendor(
        r"^GET [^?]*/opportunities\?", ("opportunityid",), _dynamics, "opportunityid",
        limited=Limited(16_000, {"page": "50"}),
    ),
    "megaplan": Vendor(
        r"^GET [^?]*/api/v3/deal\?", ("id",), _megaplan, limited=Limited(6_000, {"page": "100"}), slow=5,
    ),
    "salesforce": Vendor(
        r"FROM Opportunity\b", ("Id",), _salesforce, job=r"/jobs/query\b",
        limited=Limited(20_000, day=Day("daily", {"daily_requests": 200})),
    ),
    # A list of Zoho's ends after 100,000 rows.
    "zoho": Vendor(
        r'bulk/v8/read .*"Deals"|/coql .*\bfrom Deals\b', ("id",), _zoho, job=r"/bulk/v8/read\b",
        limited=Limited(20_000, day=Day("credits", {"credits": 1_000}, {"credits_per_day": "1000"})), listed=100_000,
    ),
}  # fmt: skip
