"""Reading from the stand-in of S/4HANA over HTTP: logon, sessions, pages, filters, formats, limits."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from xml.etree import ElementTree

import httpx
import pytest

from tests.sandbox_process import running
from tests.sap.s4 import BILLING, LINES, OPEN_ITEMS, ORDERS, PARTNERS, PRODUCTS, S4

SERVICES = (
    ORDERS, BILLING, PARTNERS, PRODUCTS, "API_MATERIAL_STOCK_SRV", "API_SLSPRICINGCONDITIONRECORD_SRV",
    "API_OPLACCTGDOCITEMCUBE_SRV", "API_GLACCOUNTLINEITEM", "API_COMPANYCODE_SRV", "API_PLANT_SRV",
    "API_GLACCOUNTINCHARTOFACCOUNTS_SRV",
)  # fmt: skip
EDM = "{http://schemas.microsoft.com/ado/2008/09/edm}"


@pytest.fixture(scope="module")
def s4() -> Iterator[S4]:
    with running("--deals", "120", "--no-limits") as sandbox:
        yield S4(sandbox)


def test_a_wrong_password_gets_the_logon_page_whatever_the_client_accepts(s4: S4) -> None:
    answer = httpx.get(
        f"{s4.root}/{ORDERS}/", auth=(s4.said["user"], "wrong"), headers={"Accept": "application/json"}
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Basic realm="SAP NetWeaver Application Server')
    assert "<title>Logon Error Message</title>" in answer.text


def test_another_client_knows_no_such_user(s4: S4) -> None:
    assert s4.ask(f"{ORDERS}/A_SalesOrder?sap-client=200&$top=1").status_code == 401
    assert s4.ask(f"{ORDERS}/A_SalesOrder?sap-client=100&$top=1").status_code == 200
    s4.option("sap_client", "required")
    assert s4.ask(f"{ORDERS}/A_SalesOrder?$top=1").status_code == 401
    s4.option("sap_client", "optional")


def test_client_credentials_buy_a_bearer_token(s4: S4) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": s4.said["client_id"],
        "client_secret": s4.said["client_secret"],
    }
    said = httpx.post(s4.said["token_url"], data=form).json()
    bearer = {"Authorization": f"Bearer {said['access_token']}", "Accept": "application/json"}
    assert httpx.get(f"{s4.root}/{ORDERS}/A_SalesOrder?$top=1", headers=bearer).status_code == 200
    wrong = httpx.post(s4.said["token_url"], data={**form, "client_secret": "no"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")


def test_a_write_without_the_session_s_token_is_refused_with_28_bytes_of_text(s4: S4) -> None:
    fresh = httpx.Client(auth=s4.http.auth, headers={"Accept": "application/json"})
    answer = fresh.post(f"{s4.root}/{ORDERS}/A_SalesOrder", json={})
    assert (answer.status_code, answer.headers["x-csrf-token"]) == (403, "Required")
    assert answer.content == b"CSRF token validation failed"
    given = fresh.get(f"{s4.root}/{ORDERS}/", headers={"x-csrf-token": "Fetch"})
    token = given.headers["x-csrf-token"]
    assert "SAP_SESSIONID_S4H_100" in fresh.cookies
    without_cookie = httpx.post(
        f"{s4.root}/{ORDERS}/A_SalesOrder", json={}, auth=s4.http.auth, headers={"x-csrf-token": token}
    )
    assert without_cookie.status_code == 403
    assert (
        fresh.post(f"{s4.root}/{ORDERS}/A_SalesOrder", json={}, headers={"x-csrf-token": token}).status_code
        == 400
    )
    s4.do(do="expire_sessions")
    assert (
        fresh.post(f"{s4.root}/{ORDERS}/A_SalesOrder", json={}, headers={"x-csrf-token": token}).status_code
        == 403
    )


def test_head_gives_a_token_unless_the_system_refuses_head(s4: S4) -> None:
    answer = s4.http.head(f"{s4.root}/{ORDERS}/", headers={"x-csrf-token": "Fetch"})
    assert (answer.status_code, len(answer.headers["x-csrf-token"]) > 10) == (200, True)
    s4.option("head", "refused")
    assert s4.http.head(f"{s4.root}/{ORDERS}/", headers={"x-csrf-token": "Fetch"}).status_code == 403
    s4.option("head", "allowed")


def test_the_service_root_without_its_slash_is_redirected(s4: S4) -> None:
    answer = s4.ask(ORDERS)
    assert (answer.status_code, answer.headers["location"]) == (307, f"{s4.root}/{ORDERS}/")


def test_an_unknown_service_is_forbidden_and_an_unknown_set_not_found(s4: S4) -> None:
    assert s4.refused(s4.ask("API_NOPE/Rows"))[:2] == (403, "/IWFND/MED/170")
    assert s4.refused(s4.ask(f"{ORDERS}/A_Nope")) == (
        404,
        "/IWBEP/CM_MGW_RT/020",
        "Resource not found for segment 'A_Nope'",
    )
    assert (
        s4.refused(s4.ask(f"{ORDERS}/A_SalesOrder('1')"))[2]
        == "Resource not found for segment 'A_SalesOrderType'"
    )


@pytest.mark.parametrize("service", SERVICES)
def test_metadata_names_types_keys_and_associations_that_fit_together(s4: S4, service: str) -> None:
    answer = s4.ask(f"{service}/$metadata")
    assert answer.headers["content-type"] == "application/xml"
    root = ElementTree.fromstring(answer.content)
    schema = next(root.iter(f"{EDM}Schema"))
    namespace = schema.get("Namespace")
    types = {kind.get("Name"): kind for kind in schema.iter(f"{EDM}EntityType")}
    sets = {found.get("Name"): found.get("EntityType", "") for found in schema.iter(f"{EDM}EntitySet")}
    assert sets
    assert {name.removeprefix(f"{namespace}.") for name in sets.values()} == set(types)
    associations = {found.get("Name"): found for found in schema.iter(f"{EDM}Association")}
    for kind in types.values():
        own = {prop.get("Name") for prop in kind.findall(f"{EDM}Property")}
        assert {key.get("Name") for key in kind.iter(f"{EDM}PropertyRef")} <= own
        for nav in kind.findall(f"{EDM}NavigationProperty"):
            ends = associations[str(nav.get("Relationship")).removeprefix(f"{namespace}.")].findall(
                f"{EDM}End"
            )
            assert [end.get("Role") for end in ends] == [nav.get("FromRole"), nav.get("ToRole")]
    listed = s4.get(f"{service}/")["EntitySets"]
    assert set(listed) == set(sets)


def test_metadata_refuses_query_options_that_leaked_into_it(s4: S4) -> None:
    assert s4.ask(f"{ORDERS}/$metadata?$top=1").status_code == 400


def test_an_order_shows_the_formats_of_the_gateway(s4: S4) -> None:
    row = s4.get(f"{ORDERS}/A_SalesOrder?$top=1")["results"][0]
    number = row["SalesOrder"]
    about = row["__metadata"]
    assert about["uri"] == f"{s4.root}/{ORDERS}/A_SalesOrder('{number}')"
    assert re.fullmatch(r"W/\"datetimeoffset'\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d\.\d{7}Z'\"", about["etag"])
    assert re.fullmatch(r"/Date\(\d+\)/", row["SalesOrderDate"])
    assert re.fullmatch(r"/Date\(\d+\+0000\)/", row["LastChangeDateTime"])
    assert re.fullmatch(r"\d+\.\d\d", row["TotalNetAmount"])
    assert row["DeliveryBlockReason"] == ""  # never null
    assert row["CustomerPurchaseOrderDate"] is None
    assert row["to_Item"] == {"__deferred": {"uri": f"{about['uri']}/to_Item"}}
    milliseconds = int(row["SalesOrderDate"][6:-2])
    assert milliseconds % 86_400_000 == 0  # midnight: a date of the calendar, no moment
    s4.option("amount_decimals", "technical")
    assert re.fullmatch(r"\d+\.\d{3}", s4.get(f"{ORDERS}/A_SalesOrder('{number}')")["TotalNetAmount"])
    s4.option("amount_decimals", "currency")


def test_a_client_that_does_not_ask_for_json_gets_atom(s4: S4) -> None:
    address = f"{s4.root}/{ORDERS}/A_SalesOrder?$top=2&$expand=to_Item"
    answer = s4.http.get(address, headers={"Accept": "*/*"})
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = ElementTree.fromstring(answer.content)
    space = "{http://schemas.microsoft.com/ado/2007/08/dataservices}"
    assert len(feed.findall("{http://www.w3.org/2005/Atom}entry")) == 2
    assert next(feed.iter(f"{space}SalesOrder")).text
    assert s4.http.get(f"{address}&$format=json", headers={"Accept": "*/*"}).json()["d"]["results"]
    error = ElementTree.fromstring(
        s4.http.get(f"{s4.root}/{ORDERS}/A_SalesOrder('0')", headers={"Accept": "*/*"}).content
    )
    assert error.tag.endswith("}error")
    assert error[0].text == "/IWBEP/CM_MGW_RT/020"


@pytest.mark.parametrize("host", ["same", "internal"])
def test_pages_of_the_server_bring_every_row_once(s4: S4, host: str) -> None:
    s4.option("page_limit", "7")
    s4.option("next_host", host)
    try:
        path, found = f"{PARTNERS}/A_BusinessPartner?$select=BusinessPartner&$inlinecount=allpages", []
        for _ in range(100):
            page = s4.get(path)
            found += [row["BusinessPartner"] for row in page["results"]]
            assert page["__count"] == str(s4.truth()["counts"]["partner"])
            if "__next" not in page:
                break
            assert "$skiptoken=" in page["__next"]
            assert page["__next"].startswith(
                s4.root if host == "same" else "http://vhcals4hci.dummy.nodomain:50000/sap/opu/"
            )
            path = page["__next"].split("/sap/opu/odata/sap/")[1]
    finally:
        s4.option("page_limit", "1000")
        s4.option("next_host", "same")
    assert len(found) == len(set(found)) == s4.truth()["counts"]["partner"]
    assert found == sorted(found, key=lambda text: text.zfill(10))


def test_top_and_skip_cut_the_ordered_list(s4: S4) -> None:
    everything = [row["Product"] for row in s4.rows(f"{PRODUCTS}/A_Product?$select=Product")]
    backwards = [
        row["Product"]
        for row in s4.rows(f"{PRODUCTS}/A_Product?$select=Product&$orderby=Product desc&$top=5&$skip=3")
    ]
    assert backwards == sorted(everything, reverse=True)[3:8]
    assert s4.ask(f"{PRODUCTS}/A_Product/$count").text == str(len(everything))
    assert s4.ask(f"{PRODUCTS}/A_Product/$count?$filter=ProductType eq 'SERV'").text == str(
        len(s4.rows(f"{PRODUCTS}/A_Product?$filter=ProductType eq 'SERV'"))
    )


def test_keys_compare_with_their_zeros_and_not_as_texts(s4: S4) -> None:
    buyer, product = s4.customer(), s4.goods()
    for _ in range(60):
        made = s4.do(do="add", what="order", customer=buyer, items=[[product, 1]], billed=False)["order"]
        if int(made) > 9999:
            break
    after = [
        row["SalesOrder"]
        for row in s4.rows(f"{ORDERS}/A_SalesOrder?$filter=SalesOrder gt '9998'&$select=SalesOrder")
    ]
    assert after[0] == "9999"
    assert all(int(number) > 9998 for number in after)
    assert after == sorted(after, key=int)
    padded = s4.get(f"{ORDERS}/A_SalesOrder?$filter=SalesOrder eq '0000009999'")["results"]
    assert [row["SalesOrder"] for row in padded] == ["9999"]
    assert s4.get(f"{ORDERS}/A_SalesOrder('0000009999')")["SalesOrder"] == "9999"


def test_a_bookmark_in_milliseconds_finds_the_row_again_and_one_rounded_up_loses_it(s4: S4) -> None:
    newest = s4.get(f"{ORDERS}/A_SalesOrder?$orderby=LastChangeDateTime desc&$top=1")["results"][0]
    moment = re.search(r"'(.*)Z'", newest["__metadata"]["etag"].replace("%3A", ":"))
    assert moment is not None
    shown = datetime.fromtimestamp(int(newest["LastChangeDateTime"][6:-7]) / 1000, UTC)
    truncated = f"{shown:%Y-%m-%dT%H:%M:%S}.{shown.microsecond // 1000:03d}"
    assert moment[1].startswith(truncated)

    def after(operator: str, text: str) -> list[str]:
        path = f"{ORDERS}/A_SalesOrder?$filter=LastChangeDateTime {operator} datetimeoffset'{text}Z'&$select=SalesOrder"
        return [row["SalesOrder"] for row in s4.rows(path)]

    assert newest["SalesOrder"] in after("ge", truncated)
    assert newest["SalesOrder"] in after("ge", moment[1])
    assert newest["SalesOrder"] not in after("gt", moment[1])
    assert newest["SalesOrder"] not in after("ge", f"{moment[1][:-1]}9") or moment[1].endswith("9")


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ("substringof('Лебедев',BusinessPartnerFullName)", 200),
        ("startswith(OrganizationBPName1,'ООО') and not (Customer eq '')", 200),
        ("endswith(OrganizationBPName1,'»') eq true", 200),
        ("BusinessPartner eq '10100000' or BusinessPartner eq '0010100001'", 200),
        ("IsMarkedForArchiving eq true", 200),
        ("CreationDate ge datetime'2020-01-01T00:00:00'", 200),
        ("CreationDate ge datetimeoffset'2020-01-01T00:00:00Z'", 400),
        ("to_Customer/CustomerName eq 'x'", 400),
        ("Nope eq 'x'", 400),
        ("BusinessPartner eq", 400),
        ("tolower(SearchTerm1) eq 'x'", 400),
    ],
)
def test_filters_are_those_of_odata_2_and_no_more(s4: S4, wanted: str, status: int) -> None:
    answer = s4.ask(f"{PARTNERS}/A_BusinessPartner?$filter={wanted}")
    assert answer.status_code == status, answer.text
    if status == 200 and "substringof" in wanted:
        names = [row["BusinessPartnerFullName"] for row in answer.json()["d"]["results"]]
        assert names
        assert all("Лебедев" in name for name in names)
    if "or BusinessPartner" in wanted:
        assert [row["BusinessPartner"] for row in answer.json()["d"]["results"]] == ["10100000", "10100001"]


def test_select_and_expand_reach_into_navigations(s4: S4) -> None:
    path = f"{ORDERS}/A_SalesOrder?$top=3&$select=SalesOrder,to_Item/Material&$expand=to_Item,to_Item/to_PricingElement"
    for row in s4.get(path)["results"]:
        assert set(row) == {"__metadata", "SalesOrder", "to_Item"}
        for item in row["to_Item"]["results"]:
            assert set(item) == {"__metadata", "Material", "to_PricingElement"}
            assert {each["ConditionType"] for each in item["to_PricingElement"]["results"]} >= {
                "PPR0",
                "TTX1",
            }
    assert s4.ask(f"{ORDERS}/A_SalesOrder?$expand=to_Nope").status_code == 404
    assert s4.ask(f"{ORDERS}/A_SalesOrder?$select=Nope").status_code == 400


def test_masters_stock_and_prices_agree_with_the_company(s4: S4) -> None:
    company = s4.get("API_COMPANYCODE_SRV/A_CompanyCode('1010')")
    assert (company["Currency"], company["ChartOfAccounts"]) == ("RUB", "YCOA")
    assert [row["Plant"] for row in s4.rows("API_PLANT_SRV/A_Plant")] == ["1010"]
    product = s4.goods()
    stock = s4.get(f"API_MATERIAL_STOCK_SRV/A_MaterialStock('{product}')/to_MatlStkInAcctMod")["results"]
    assert tuple(stock[0][n] for n in ("InventoryStockType", "Plant", "StorageLocation")) == (
        "01",
        "1010",
        "101A",
    )
    assert Decimal(stock[0]["MatlWrhsStkQtyInMatlBaseUnit"]) > 0
    path = f"API_SLSPRICINGCONDITIONRECORD_SRV/A_SlsPrcgCndnRecdValidity?$filter=Material eq '{product}'&$expand=to_SlsPrcgConditionRecord"
    price = s4.get(path)["results"][0]["to_SlsPrcgConditionRecord"]
    assert re.fullmatch(r"\d+\.\d{9}", price["ConditionRateValue"])
    assert price["ConditionRateValueUnit"] == "RUB"
    accounts = {
        row["GLAccount"] for row in s4.rows("API_GLACCOUNTINCHARTOFACCOUNTS_SRV/A_GLAccountInChartOfAccounts")
    }
    assert {"11001000", "12100000", "22000000", "41000000"} <= accounts


def test_the_journal_is_summed_over_what_is_selected_and_balances(s4: S4) -> None:
    summed = {
        row["GLAccount"]: Decimal(row["AmountInCompanyCodeCurrency"])
        for row in s4.rows(f"{LINES}?$select=GLAccount,AmountInCompanyCodeCurrency&$filter=Ledger eq '0L'")
    }
    assert sum(summed.values()) == 0
    assert {account: f"{amount:.2f}" for account, amount in summed.items()} == s4.truth()["balances"]
    single = s4.rows(f"{LINES}?$select=ID,GLAccount,AmountInCompanyCodeCurrency,AccountingDocument")
    assert len(single) == s4.truth()["ledger"]["lines"]
    documents: dict[str, Decimal] = {}
    for row in single:
        documents[row["AccountingDocument"]] = documents.get(row["AccountingDocument"], Decimal(0)) + Decimal(
            row["AmountInCompanyCodeCurrency"]
        )
    assert set(documents.values()) == {Decimal(0)}
    assert s4.ask(f"{LINES}?$filter=AmountInCompanyCodeCurrency gt 5m").status_code == 400


def test_open_items_may_answer_no_data_with_a_refusal(s4: S4) -> None:
    path = f"{OPEN_ITEMS}?$filter=Customer eq '404'"
    assert s4.get(path)["results"] == []
    s4.option("no_data", "400")
    assert s4.refused(s4.ask(path))[:2] == (400, "/IWBEP/CM_MGW_RT/022")
    s4.option("no_data", "empty")


@pytest.mark.parametrize(("kind", "status"), [("limit", 429), ("unauthorized", 401), ("http_500", 500)])
def test_faults_speak_the_vendor_s_words(s4: S4, kind: str, status: int) -> None:
    s4.sandbox.control("faults", {"where": "sap", "kind": kind, "match": "A_SalesOrder"})
    answer = s4.ask(f"{ORDERS}/A_SalesOrder?$top=1")
    s4.sandbox.control("faults", method="DELETE")
    assert answer.status_code == status
    if kind == "limit":
        assert (answer.headers["retry-after"], answer.headers["x-ratelimit-remaining"]) == ("60", "0")
        assert answer.json()["fault"]["detail"]["errorcode"] == "policies.ratelimit.QuotaViolation"


def test_too_many_requests_in_a_second_get_429_and_are_counted() -> None:
    with running("--deals", "0") as sandbox:
        s4 = S4(sandbox)
        s4.option("rate_limit", "5")
        answers = [s4.ask(f"{ORDERS}/").status_code for _ in range(40)]
        usage = sandbox.control("accounting/sap/usage")
    assert 429 in answers
    assert answers[0] == 200
    assert usage["requests"] == 40
    assert usage["limits"]["requests"]["denied"] == answers.count(429)


def test_a_password_that_is_no_base64_is_no_logon(s4: S4) -> None:
    broken = base64.b64encode(b"\xff\xfe").decode()
    assert httpx.get(f"{s4.root}/{ORDERS}/", headers={"Authorization": f"Basic {broken}"}).status_code == 401
