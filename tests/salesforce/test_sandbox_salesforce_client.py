"""The vendor's usual Python client against the sandbox's Salesforce organization."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.salesforce.org import COMPANY, VERSION, Org, csv_rows, opened
from tests.sandbox_process import Running, running


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running(*COMPANY) as found:
        yield found


@pytest.fixture
def org(sandbox: Running) -> Iterator[Org]:
    with opened(sandbox) as found:
        yield found


def test_simple_salesforce_reads_writes_and_loads(org: Org) -> None:
    client = pytest.importorskip(
        "simple_salesforce", reason="the vendor's usual Python client is not installed"
    )
    requests = pytest.importorskip("requests", reason="simple-salesforce needs it")

    class Loopback(requests.adapters.HTTPAdapter):  # type: ignore[misc, name-defined]
        """The client knows https alone: its calls go to the sandbox instead."""

        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            request.url = request.url.replace("https://", "http://", 1)
            return super().send(request, *args, **kwargs)

    session = requests.Session()
    session.trust_env = False
    session.mount("https://", Loopback())
    token = org.token(grant_type="client_credentials").json()
    instance = token["instance_url"].removeprefix("http://")
    sf = client.Salesforce(
        session_id=token["access_token"], instance=instance, session=session, version=VERSION
    )
    count = org.ask("SELECT COUNT() FROM Contact")["totalSize"]
    assert sf.query_all("SELECT Id FROM Contact")["totalSize"] == count
    assert len(list(sf.query_all_iter("SELECT Id FROM OpportunityLineItem"))) > 1000
    made = sf.Contact.create({"LastName": "Клиентов"})
    assert sf.Contact.update(made["id"], {"FirstName": "Пётр"}) == 204
    assert sf.Contact.get(made["id"])["FirstName"] == "Пётр"
    assert sf.Contact.upsert("Ext_Key__c/one", {"LastName": "Ключев"}) == 201
    assert sf.Opportunity.describe()["name"] == "Opportunity"
    assert sf.limits()["DailyApiRequests"]["Max"] > 0
    now = datetime.now(UTC)
    assert made["id"] in sf.Contact.updated(now - timedelta(minutes=5), now + timedelta(minutes=2))["ids"]
    pages = list(sf.bulk2.Contact.query("SELECT Id, LastName FROM Contact", max_records=200, wait=0))
    assert sum(len(csv_rows(page)) for page in pages) == count + 2
    loaded = sf.bulk2.Contact.insert(records=[{"LastName": "Грузов"}], wait=0)
    assert loaded[0]["numberRecordsFailed"] == 0
    with pytest.raises(client.exceptions.SalesforceMalformedRequest, match="INVALID_FIELD"):
        sf.query("SELECT Nope FROM Contact")
