"""Reading from the stand-in of Dynamics 365 over HTTP, as the vendor's documentation words its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from tests.dynamics.environment import Environment, number_in
from tests.sandbox_process import running

FORMATTED = "OData.Community.Display.V1.FormattedValue"


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    with running("--deals", "120") as sandbox:
        yield Environment(sandbox)


def test_client_credentials_buy_a_token_of_an_hour_without_a_refresh_token(env: Environment) -> None:
    said = env.token().json()
    assert said["token_type"] == "Bearer"
    assert said["expires_in"] == said["ext_expires_in"] == 3599
    assert "refresh_token" not in said


@pytest.mark.parametrize(
    ("more", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_id": "nobody"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": "https://org.crm.dynamics.com/user_impersonation"}, 400, "invalid_scope", 1002012),
    ],
)
def test_wrong_credentials_are_refused_in_the_words_of_entra_id(
    env: Environment, more: dict[str, str], status: int, error: str, number: int
) -> None:
    answer = env.token(**more)
    said = answer.json()
    assert (answer.status_code, said["error"], said["error_codes"]) == (status, error, [number])
    assert said["error_description"].startswith(f"AADSTS{number}: ")


def test_an_expired_token_is_answered_with_a_challenge(env: Environment) -> None:
    env.sandbox.control("crm/dynamics/tokens", {"do": "expire"})
    answer = env.ask("GET", "WhoAmI")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith(
        "Bearer authorization_uri=https://login.microsoftonline.com/"
    )
    env.log_in()
    user = env.get("WhoAmI")["UserId"]
    assert env.get(f"systemusers({user})?$select=fullname")["fullname"] == "# sverka"


@pytest.mark.parametrize(
    ("entity", "plural", "key"),
    [
        ("client", "accounts", "accountid"), ("contact", "contacts", "contactid"), ("deal", "opportunities", "opportunityid"),
        ("line", "opportunityproducts", "opportunityproductid"), ("invoice", "invoices", "invoiceid"),
        ("product", "products", "productid"), ("price", "productpricelevels", "productpricelevelid"),
        ("stage", "processstages", "processstageid"), ("pipeline", "workflows", "workflowid"),
        ("campaign", "campaigns", "campaignid"), ("price_list", "pricelevels", "pricelevelid"),
    ],
)  # fmt: skip
def test_pages_bring_every_row_once(env: Environment, entity: str, plural: str, key: str) -> None:
    found = [row[key] for row in env.rows(f"{plural}?$select={key}", Prefer="odata.maxpagesize=17")]
    lost = env.sandbox.control("crm/dynamics")["merged"].get(entity, {})
    assert sorted(found) == sorted([*env.truth(entity), *lost])


def test_an_opportunity_says_what_the_desk_holds(env: Environment) -> None:
    deals = env.truth("deal")
    rows = {
        row["opportunityid"]: row
        for row in env.rows("opportunities?$expand=transactioncurrencyid($select=isocurrencycode)")
    }
    assert rows.keys() == deals.keys()
    for key, deal in deals.items():
        row = rows[key]
        assert (row["name"], row["_customerid_value"], row["_ownerid_value"], row["stageid"], row["processid"]) == (
            deal["title"], deal["client"], deal["employee"], deal["stage"], deal["pipeline"],
        )  # fmt: skip
        assert Decimal(str(row["totalamount"])) == Decimal(deal["amount"])
        assert row["transactioncurrencyid"]["isocurrencycode"] == deal["currency"]
        assert row["actualclosedate"] == deal["closed_on"]
        assert row["new_leadsource"] == (int(deal["source"]) if deal["source"] else None)
        assert datetime.fromisoformat(row["modifiedon"]) == datetime.fromisoformat(deal["modified"])
        assert row["@odata.etag"] == f'W/"{row["versionnumber"]}"'


def test_lines_add_up_to_what_is_owed_with_vat(env: Environment) -> None:
    lines = env.truth("line")
    for row in env.rows("opportunityproducts"):
        line = lines[row["opportunityproductid"]]
        value = {
            name: Decimal(str(row[name]))
            for name in ("baseamount", "manualdiscountamount", "tax", "extendedamount")
        }
        assert value["extendedamount"] == value["baseamount"] - value["manualdiscountamount"] + value["tax"]
        assert row["isproductoverridden"] is (line["product"] is None)
        assert (value["tax"] > 0) is (not line["vat_included"] and line["vat_rate"] > 0)
        assert Decimal(str(row["quantity"])) == Decimal(line["quantity"])
        assert row["productdescription"] == (None if line["product"] else line["name"])


def test_money_and_stamps_have_the_vendors_digits(env: Environment) -> None:
    text = env.ask("GET", "opportunities?$select=totalamount,exchangerate,modifiedon&$top=1").text
    amount = text.partition('"totalamount":')[2].partition(",")[0]
    assert len(amount.partition(".")[2]) == 10
    assert '"exchangerate":1.000000000000,' in text or '"exchangerate":0.01' in text
    assert text.partition('"modifiedon":"')[2][19] == "Z"


def test_rows_that_change_while_they_are_paged_are_seen_again_and_none_is_lost(env: Environment) -> None:
    path = "opportunities?$select=modifiedon&$orderby=modifiedon asc"
    pages = env.pages(path, Prefer="odata.maxpagesize=20")
    first = [row["opportunityid"] for row in next(pages)["value"]]
    before = set(env.truth("deal"))
    env.do(do="put", entity="deal", number=number_in(first[3]), body={"title": "moved to the end"})
    env.do(do="remove", entity="deal", number=number_in(first[4]))
    rest = [row["opportunityid"] for page in pages for row in page["value"]]
    assert first[3] in rest
    assert set(first) | set(rest) == before
    assert len(rest) == len(set(rest))


def test_only_the_prefer_header_keeps_the_page_small(env: Environment) -> None:
    page = env.get("opportunities?$select=name", Prefer="odata.maxpagesize=5")
    rest = env.get(page["@odata.nextLink"])
    assert len(page["value"]) == 5
    assert len(rest["value"]) == len(env.truth("deal")) - 5
    assert "@odata.nextLink" not in rest


def test_top_is_ignored_beside_a_page_size_and_skip_is_refused(env: Environment) -> None:
    assert len(env.get("accounts?$top=3")["value"]) == 3
    page = env.get("accounts?$top=3", Prefer="odata.maxpagesize=4")
    assert len(page["value"]) == 4
    assert "@odata.nextLink" in page
    assert env.refused("GET", "accounts?$skip=3") == (
        400,
        "0x80060888",
        "Skip Clause is not supported in CRM",
    )


def test_a_changed_cookie_is_refused(env: Environment) -> None:
    link = env.get("accounts", Prefer="odata.maxpagesize=4")["@odata.nextLink"]
    assert env.refused("GET", link.replace("pagingcookie", "crumbs"))[:2] == (400, "0x80041129")


@pytest.mark.parametrize(
    "order",
    [
        "name desc",
        "_ownerid_value asc,name asc",
        "createdon desc",
        "new_debt asc",
        "modifiedon asc,opportunityid asc",
    ],
)
def test_any_order_can_be_paged(env: Environment, order: str) -> None:
    paged = env.rows(f"opportunities?$select=name&$orderby={order}", Prefer="odata.maxpagesize=13")
    whole = env.get(f"opportunities?$select=name&$orderby={order}")["value"]
    assert paged == whole
    assert len(paged) == len(env.truth("deal"))


def test_a_list_is_filtered_by_the_time_of_change(env: Environment) -> None:
    rows = env.rows("opportunities?$select=modifiedon&$orderby=modifiedon asc")
    middle = rows[len(rows) // 2]["modifiedon"]
    late = [row["opportunityid"] for row in rows if row["modifiedon"] >= middle]
    path = f"opportunities?$select=modifiedon&$filter=modifiedon ge {middle}"
    assert [row["opportunityid"] for row in env.rows(f"{path}&$orderby=modifiedon asc")] == late
    assert {row["opportunityid"] for row in env.rows(path, Prefer="odata.maxpagesize=9")} == set(late)
    assert env.get(f"{path}&$count=true&$top=1")["@odata.count"] == len(late)


def test_filters_find_what_they_name(env: Environment) -> None:
    accounts = env.rows("accounts?$select=name,new_inn,_ownerid_value,statecode")
    ids = [row["accountid"] for row in accounts]

    def found(condition: str) -> set[str]:
        return {row["accountid"] for row in env.rows(f"accounts?$select=name&$filter={condition}")}

    assert found(f"accountid eq {ids[0]} or accountid eq '{ids[5]}'") == {ids[0], ids[5]}
    assert found(
        f"Microsoft.Dynamics.CRM.In(PropertyName='accountid',PropertyValues=['{ids[1]}','{ids[2]}'])"
    ) == {ids[1], ids[2]}
    word = accounts[0]["name"].split()[-1].strip('«»"')[:5]
    assert found(f"contains(name,'{word.lower()}')") == {
        r["accountid"] for r in accounts if word.lower() in r["name"].lower()
    }
    assert found("new_inn eq null") == {r["accountid"] for r in accounts if r["new_inn"] is None}
    assert found("not startswith(new_inn,'77') and statecode eq 0") == {
        r["accountid"] for r in accounts if not (r["new_inn"] or "").startswith("77") and r["statecode"] == 0
    }
    owner = accounts[0]["_ownerid_value"]
    last = env.get(f"systemusers({owner})?$select=lastname")["lastname"]
    assert ids[0] in found(f"ownerid/lastname eq '{last}' and _ownerid_value eq {owner}")
    assert found("new_inn ne '0'") == set(ids)


def test_lines_are_found_by_their_opportunities(env: Environment) -> None:
    lines = env.rows("opportunityproducts?$select=_opportunityid_value")
    wanted = sorted({row["_opportunityid_value"] for row in lines})[:3]
    condition = " or ".join(f"_opportunityid_value eq {key}" for key in wanted)
    found = env.rows(
        f"opportunityproducts?$select=_opportunityid_value&$filter={condition}", Prefer="odata.maxpagesize=2"
    )
    assert sorted(r["opportunityproductid"] for r in found) == sorted(
        r["opportunityproductid"] for r in lines if r["_opportunityid_value"] in wanted
    )


@pytest.mark.parametrize(
    ("path", "status", "part"),
    [
        ("Account", 404, "Resource not found for the segment 'Account'."),
        ("accounts?$select=Name", 400, "Could not find a property named 'Name' on type 'Microsoft.Dynamics.CRM.account'."),
        ("accounts?$filter=modifiedon ge '2026-01-01'", 400, "incompatible types"),
        ("accounts?$filter=name eq", 400, "Syntax error"),
        ("accounts(00000000-0000-0000-0000-000000000001)", 404,
         "account With Id = 00000000-0000-0000-0000-000000000001 Does Not Exist"),
        ("opportunities?$expand=product_opportunities/$ref", 400, "Expand with $ref is only supported on lookup type"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused_in_the_vendors_words(
    env: Environment, path: str, status: int, part: str
) -> None:
    found, _, message = env.refused("GET", path)
    assert found == status
    assert part in message


def test_the_operator_in_is_refused_as_dataverse_does_unless_switched(env: Environment) -> None:
    keys = list(env.truth("product"))[:2]
    path = f"products?$select=name&$filter=productid in ({keys[0]},{keys[1]})"
    assert env.refused("GET", path) == (501, "0x8006088a", "The query node In is not supported")
    with env.option(in_operator="accepted"):
        assert {row["productid"] for row in env.rows(path)} == set(keys)


def test_annotations_say_labels_names_and_tables(env: Environment) -> None:
    row = env.get("opportunities?$select=statecode,_customerid_value,totalamount&$filter=_customerid_value ne null&$top=1",
                  Prefer='odata.include-annotations="*"')["value"][0]  # fmt: skip
    account = env.get(f"accounts({row['_customerid_value']})?$select=name")
    assert row[f"statecode@{FORMATTED}"] in ("Open", "Won", "Lost")
    assert row[f"_customerid_value@{FORMATTED}"] == account["name"]
    assert row["_customerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "account"
    assert (
        row["_customerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty"] == "customerid_account"
    )
    env.do(
        do="put",
        entity="client",
        number=number_in(account["accountid"]),
        body={"name": "ООО «Переименованный»"},
    )
    again = env.get(f"opportunities({row['opportunityid']})?$select=_customerid_value",
                    Prefer=f'odata.include-annotations="{FORMATTED}"')  # fmt: skip
    assert again[f"_customerid_value@{FORMATTED}"] == "ООО «Переименованный»"
    assert "_customerid_value@Microsoft.Dynamics.CRM.lookuplogicalname" not in again


def test_lines_come_with_their_opportunity_when_expanded(env: Environment) -> None:
    lines, deals = env.truth("line"), env.truth("deal")
    rows = env.rows("opportunities?$select=name&$expand=product_opportunities($select=quantity;$orderby=quantity desc),"
                    "customerid_account($select=name;$expand=ownerid($select=fullname))", Prefer="odata.maxpagesize=50")  # fmt: skip
    inside = [line["opportunityproductid"] for row in rows for line in row["product_opportunities"]]
    assert sorted(inside) == sorted(key for key, line in lines.items() if line["deal"] in deals)
    some = next(row for row in rows if len(row["product_opportunities"]) > 1 and row["customerid_account"])
    quantities = [line["quantity"] for line in some["product_opportunities"]]
    assert quantities == sorted(quantities, reverse=True)
    assert some["customerid_account"]["ownerid"]["fullname"]
    linked = env.get(some["product_opportunities@odata.nextLink"])["value"]
    assert {line["opportunityproductid"] for line in linked} == {
        line["opportunityproductid"] for line in some["product_opportunities"]
    }


def test_an_opportunity_leads_to_its_stage_and_to_the_source_of_its_lead(env: Environment) -> None:
    deals, stages = env.truth("deal"), env.truth("stage")
    path = "opportunities?$select=stepname&$expand=stageid_processstage($select=stagename),originatingleadid($select=leadsourcecode)"
    for row in env.rows(path):
        deal, lead = deals[row["opportunityid"]], row["originatingleadid"]
        assert row["stageid_processstage"]["stagename"] == stages[deal["stage"]]["name"]
        assert row["stepname"].partition("-")[2] == stages[deal["stage"]]["name"]
        assert (str(lead["leadsourcecode"]) if lead else None) == deal["source"]
    name = next(iter(stages.values()))["name"]
    found = env.rows(f"opportunities?$select=name&$filter=stageid_processstage/stagename eq '{name}'")
    assert {row["opportunityid"] for row in found} == {
        key for key, deal in deals.items() if stages[deal["stage"]]["name"] == name
    }


# ---- What the environment says about itself ---------------------------------------------------


def test_definitions_show_custom_columns_choices_and_keys(env: Environment) -> None:
    found = env.get("EntityDefinitions(LogicalName='opportunity')?$select=EntitySetName,PrimaryIdAttribute"
                    "&$expand=Attributes($select=LogicalName,SchemaName,AttributeType,IsCustomAttribute;"
                    "$filter=IsCustomAttribute eq true),Keys")  # fmt: skip
    assert (found["EntitySetName"], found["PrimaryIdAttribute"]) == ("opportunities", "opportunityid")
    custom = {row["LogicalName"]: row for row in found["Attributes"]}
    assert custom["new_debt"]["AttributeType"] == "Money"
    assert custom["new_paymentstatus"]["SchemaName"] == "new_PaymentStatus"
    assert found["Keys"][0]["KeyAttributes"] == ["new_extkey"]
    choices = env.get("EntityDefinitions(LogicalName='opportunity')/Attributes/Microsoft.Dynamics.CRM."
                      "PicklistAttributeMetadata?$select=LogicalName&$expand=OptionSet")["value"]  # fmt: skip
    source = next(row for row in choices if row["LogicalName"] == "new_leadsource")
    labels = {o["Value"]: o["Label"]["UserLocalizedLabel"]["Label"] for o in source["OptionSet"]["Options"]}
    assert labels == {int(key): row["name"] for key, row in env.truth("source").items()}
    assert env.refused("GET", "EntityDefinitions(LogicalName='nothing')")[0] == 404


def test_the_csdl_document_names_types_and_tracked_sets(env: Environment) -> None:
    document = ElementTree.fromstring(env.ask("GET", "$metadata?annotations=true").text)
    space = "{http://docs.oasis-open.org/odata/ns/edm}"
    types = {node.get("Name"): node for node in document.iter(f"{space}EntityType")}
    properties = {
        node.get("Name"): node.get("Type") for node in types["opportunity"].iter(f"{space}Property")
    }
    assert properties["totalamount"] == "Edm.Decimal"
    assert properties["_customerid_value"] == "Edm.Guid"
    tracked = {
        node.get("Name")
        for node in document.iter(f"{space}EntitySet")
        if node.find(f"{space}Annotation") is not None
    }
    assert "accounts" in tracked
    assert "processstages" not in tracked


def test_rights_and_totals_can_be_asked_for(env: Environment) -> None:
    user = env.get("WhoAmI")["UserId"]
    rights = env.get(f"systemusers({user})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()")["RolePrivileges"]
    names = {row["PrivilegeName"]: row["Depth"] for row in rights}
    assert names["prvReadAccount"] == names["prvWriteOpportunity"] == "Global"
    assert "prvWriteSystemUser" not in names
    totals = env.get("RetrieveTotalRecordCount(EntityNames=['opportunity','product'])")[
        "EntityRecordCountCollection"
    ]
    assert totals["Values"] == [len(env.truth("deal")), len(env.truth("product"))]


# ---- Limits -----------------------------------------------------------------------------------


@pytest.fixture
def limits(env: Environment) -> Iterator[Any]:
    env.sandbox.control("crm/dynamics/usage", method="DELETE")
    yield lambda **said: env.control("limits", said)
    env.control("limits", {"requests": 6000, "execution": 1200, "concurrent": 52})
    env.sandbox.control("crm/dynamics/usage", method="DELETE")


def test_too_many_requests_are_refused_with_the_seconds_to_wait(env: Environment, limits: Any) -> None:
    limits(requests=3)
    for left in (2, 1, 0):
        answer = env.ask("GET", "WhoAmI")
        assert answer.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == str(left)
    answer = env.ask("GET", "WhoAmI")
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "0x80072322"
    assert 290 <= int(answer.headers["Retry-After"]) <= 300
    usage = env.sandbox.control("crm/dynamics/usage")["limits"]["requests"]
    assert (usage["granted"], usage["denied"]) == (3, 1)


def test_batches_use_up_the_execution_time(env: Environment, limits: Any) -> None:
    limits(execution=1)
    key = next(iter(env.truth("deal")))
    targets = [
        {"@odata.type": "Microsoft.Dynamics.CRM.opportunity", "opportunityid": key, "new_debt": 1}
    ] * 20
    answer = env.ask("POST", "opportunities/Microsoft.Dynamics.CRM.UpdateMultiple", {"Targets": targets})
    assert answer.status_code == 204
    status, code, message = env.refused("GET", "WhoAmI")
    assert (status, code) == (429, "0x80072321")
    assert "1,000 milliseconds" in message


def test_requests_at_once_are_limited(env: Environment, limits: Any) -> None:
    limits(concurrent=0)
    assert env.refused("GET", "WhoAmI") == (
        429,
        "0x80072326",
        "Number of concurrent requests exceeded the limit of 0.",
    )
    limits(concurrent=52)

    def ask(_: int) -> httpx.Response:
        return env.ask("GET", "opportunities?$top=5")

    with ThreadPoolExecutor(4) as pool:
        assert {answer.status_code for answer in pool.map(ask, range(12))} == {200}


def test_ordered_faults_speak_as_the_vendor_does(env: Environment) -> None:
    for kind, status in (("limit", 429), ("unauthorized", 401)):
        env.sandbox.control("faults", {"where": "dynamics", "kind": kind, "match": "WhoAmI"})
        answer = env.ask("GET", "WhoAmI")
        assert answer.status_code == status
    assert env.ask("GET", "WhoAmI").status_code == 200


def test_the_second_environment_shows_a_part_under_the_same_ids(env: Environment) -> None:
    second = Environment(env.sandbox, "dynamics-2")
    mine = {row["accountid"] for row in second.rows("accounts?$select=name")}
    assert mine < {row["accountid"] for row in env.rows("accounts?$select=name")} | set(mine)
    assert 0 < len(mine) < 60
