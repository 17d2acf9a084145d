"""What a person reads when something about a SAP system is wrong: credentials, rights, pages, fields."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from mappings import load
from resources.accounting.sap import Sap, connect, credentials, odata, paths
from resources.accounting.sap.check import findings
from resources.accounting.sap.shape import _Service
from resources.connector import SourceError
from resources.tokens import MemoryTokens, Token
from tests.sap.gateway import CONNECTION, HOST, Gateway, Unlimited, error, opened, orders, read

MAPPINGS = Path(__file__).parents[2] / "mappings"
RECORDED = Path("/work/shared/data/sap_edmx")
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"url": "s4.example.com"}, "the connection's url is no address; it looks like https://"),
        ({"url": HOST + "/?sap-client=100"}, r"has a \? or #"),
        ({"password": ""}, "the connection lacks password; give the communication user's"),
        ({"token_url": HOST + "/token"}, "the connection lacks client_id, client_secret"),
        ({"company_code": ""}, "the connection lacks company_code; it is the four characters"),
        ({"timezone": "Moscow"}, "there is no time zone 'Moscow'"),
        ({"page": "many"}, "the connection's page is 'many'; give a whole number from 1 on"),
        ({"closed_until": "March"}, "closed_until in the connection is not a day"),
        ({"url": "http://s4.example.com"}, "addressed by plain http"),
    ],
)
def test_a_wrong_connection_is_told_before_anything_is_sent(wrong: Mapping[str, str], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        connect("sap", {**CONNECTION, **wrong})


def test_the_gateway_is_found_below_the_host_or_where_the_address_says() -> None:
    for url in (HOST, HOST + "/", HOST + "/sap/opu/odata/sap", HOST + "/sap/opu/odata/sap/"):
        gateway = Gateway()
        read(opened(gateway, url=url), "order")
        assert str(gateway.asked[0].url).startswith(
            HOST + "/sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SalesOrder?"
        )


def test_client_and_language_go_with_every_request() -> None:
    gateway = Gateway()
    read(opened(gateway, sap_client="100", sap_language="RU"), "order")
    assert (gateway.asked[0].headers["sap-client"], gateway.asked[0].headers["sap-language"]) == ("100", "RU")


# ---- Letting in ----------------------------------------------------------------------------------


def test_wrong_credentials_name_the_user_and_never_the_password() -> None:
    gateway = Gateway(bend=lambda request, send: httpx.Response(401, text="Anmeldung fehlgeschlagen"))
    with pytest.raises(SourceError, match="check the credentials of SVERKA") as caught:
        read(opened(gateway), "order")
    assert not caught.value.retriable
    assert "sehr-geheim" not in str(caught.value)


def oauth(gateway: Gateway, tokens: MemoryTokens | None = None) -> Sap:
    connection = {
        "url": HOST, "company_code": "1010", "token_url": HOST + "/oauth/token", "client_id": "cid",
        "client_secret": "streng-geheim", "scope": "API_SALES_ORDER_SRV_0001",
    }  # fmt: skip
    return connect("sap", connection, Unlimited(), tokens, transport=httpx.MockTransport(gateway))


class Tenant(Gateway):
    """A gateway that takes bearer tokens, and a page that gives them."""

    def __init__(self, in_form: bool = False) -> None:
        super().__init__(bend=self.let_in)
        self.in_form, self.given = in_form, 0

    def let_in(self, request: httpx.Request, send: Any) -> httpx.Response:
        if request.url.path == "/oauth/token":
            if self.in_form != (b"client_secret=streng-geheim" in request.content):
                return httpx.Response(
                    401, json={"error": "invalid_client", "error_description": "Bad credentials"}
                )
            self.given += 1
            return httpx.Response(200, json={"access_token": f"t{self.given}", "expires_in": 3600})
        if request.headers.get("authorization") != f"Bearer t{self.given}":
            return httpx.Response(401)
        answer: httpx.Response = send(request)
        return answer


@pytest.mark.parametrize("in_form", [False, True])
def test_a_token_is_had_whichever_way_the_tenant_wants_the_secret(in_form: bool) -> None:
    gateway = Tenant(in_form)
    sap = oauth(gateway)
    read(sap, "order")
    read(sap, "product")
    assert gateway.given == 1


def test_a_revoked_token_is_had_anew_and_a_refused_secret_is_told() -> None:
    gateway = Tenant()
    tokens = MemoryTokens(Token("old", expires_at=NOW + timedelta(days=9000)))
    sap = oauth(gateway, tokens)
    read(sap, "order")
    assert tokens.token is not None
    assert tokens.token.access == "t1"
    refusing = Gateway(bend=lambda request, send: httpx.Response(401, json={"error": "invalid_client"}))
    with pytest.raises(SourceError, match="check token_url, client_id, client_secret and scope") as caught:
        read(oauth(refusing), "order")
    assert "streng-geheim" not in str(caught.value)


def test_other_credentials_are_another_grant() -> None:
    assert credentials({**CONNECTION, "client_id": "a"}) != credentials({**CONNECTION, "client_id": "b"})


# ---- Answers -------------------------------------------------------------------------------------


def test_a_missing_right_names_the_service_and_where_it_is_given() -> None:
    gateway = Gateway(bend=lambda request, send: error(403, "/IWFND/CM_COS/001", "No authorization"))
    with pytest.raises(SourceError, match="give the user the right to API_SALES_ORDER_SRV") as caught:
        read(opened(gateway), "order")
    assert not caught.value.retriable


def test_a_service_that_is_not_active_says_where_it_is_activated() -> None:
    gateway = Gateway(bend=lambda request, send: error(403, "/IWFND/MED/170", "No service found"))
    with pytest.raises(SourceError, match="/IWFND/MAINT_SERVICE"):
        read(opened(gateway), "order")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            httpx.Response(200, html="<html><body>Anmeldung</body></html>"),
            "a page came instead of data: «Anmeldung»",
        ),
        (httpx.Response(200, content=b'{"d":{"results":[{"SalesOrder":"1"'), "the answer is cut off after"),
        (error(200, "SY/530", "Interner Fehler"), r"with an error inside: Interner Fehler \(SY/530\)"),
        (httpx.Response(200, json={"value": []}), "answered JSON that is no list"),
        (error(500, "/IWFND/CM", "RFC"), "see /IWFND/ERROR_LOG"),
        (error(400, "/IWBEP/CM_MGW_RT/020", "Property X unknown"), "Property X unknown"),
    ],
)
def test_an_answer_that_is_none_is_told_in_words(answer: httpx.Response, words: str) -> None:
    gateway = Gateway(
        bend=lambda request, send: httpx.Response(
            answer.status_code, headers=answer.headers, content=answer.content
        )
    )
    with pytest.raises(SourceError, match=words):
        read(opened(gateway), "order")


def test_a_page_cut_in_the_middle_is_asked_again() -> None:
    gateway = Gateway()
    gateway.rows["A_SalesOrder"] = list(orders(3))

    def once(request: httpx.Request, send: Any) -> httpx.Response:
        answer: httpx.Response = send(request)
        return httpx.Response(200, content=answer.content[:-9]) if len(gateway.asked) == 1 else answer

    gateway.bend = once
    assert len(read(opened(gateway), "order")) == 3


def test_a_page_that_is_short_without_a_link_ends_nothing() -> None:
    gateway = Gateway()
    gateway.rows["A_SalesOrder"] = list(orders(25))

    def short(request: httpx.Request, send: Any) -> httpx.Response:
        answer: httpx.Response = send(request)
        if len(gateway.asked) == 2:
            body = answer.json()
            del body["d"]["results"][4:]
            return httpx.Response(200, json=body)
        return answer

    gateway.bend = short
    assert len(read(opened(gateway, page=10), "order")) == 25


def test_an_unknown_entity_names_those_that_there_are() -> None:
    with pytest.raises(SourceError, match="there is no entity 'invoice'; there are organization"):
        read(opened(Gateway()), "invoice")


# ---- Check, fields, mapping ----------------------------------------------------------------------


def test_check_names_what_is_wrong_line_by_line_and_raises_nothing() -> None:
    def bend(request: httpx.Request, send: Any) -> httpx.Response:
        if "API_PRODUCT_SRV" in request.url.path:
            return error(403, "/IWFND/CM_COS/001", "No authorization")
        answer: httpx.Response = send(request)
        answer.headers["date"] = "Mon, 01 Jun 2026 00:30:00 GMT"
        return answer

    found = {one.subject: one for one in findings(opened(Gateway(bend=bend)), NOW)}
    assert [subject for subject, one in found.items() if not one.ok] == ["product", "clock"]
    assert (
        found["ledger"].remedy
        == "right for empty books; else correct company_code and ledger in the connection"
    )
    assert "no service tells which posting periods are open" in found["closed period"].message


def test_check_says_one_thing_when_nobody_is_let_in() -> None:
    (only,) = findings(opened(Gateway(bend=lambda request, send: httpx.Response(401))), NOW)
    assert (only.subject, only.ok) == ("connection", False)


def test_the_shape_of_a_service_has_its_parts() -> None:
    if not RECORDED.exists():
        pytest.skip(f"the recorded metadata is not here: {RECORDED}")
    content = (RECORDED / "API_SALES_ORDER_SRV.edmx").read_bytes()
    fields = _Service("sap", "API_SALES_ORDER_SRV", content).fields(
        "A_SalesOrder", "to_Item/to_PricingElement"
    )
    assert fields["PurchaseOrderByCustomer"] == "Edm.String"
    assert fields["to_Item/RequestedQuantity"] == "Edm.Decimal"
    assert fields["to_Item/to_PricingElement/ConditionRateValue"] == "Edm.Decimal"


def test_a_set_that_a_service_does_not_have_has_no_fields_and_no_parts() -> None:
    assert _Service("sap", "API_SALES_ORDER_SRV", b"<Edmx/>").fields("A_SalesOrder", "to_Item") == {}


def test_the_ready_mapping_names_fields_that_sap_has(tmp_path: Path) -> None:
    if not RECORDED.exists():
        pytest.skip(f"the recorded metadata is not here: {RECORDED}")
    shutil.copy(MAPPINGS / "accounting" / "sap.yaml", tmp_path)
    system = load(tmp_path, {}, connected=False).accounting()
    for entity, name, part in (
        ("order", "API_SALES_ORDER_SRV", "A_SalesOrder"),
        ("counterparty", "API_BUSINESS_PARTNER", "A_BusinessPartner"),
        ("product", "API_PRODUCT_SRV", "A_Product"),
    ):
        service = _Service("sap", name, (RECORDED / f"{name}.edmx").read_bytes())
        expand = opened(Gateway()).entity_sets[entity].expand
        known = service.fields(part, expand)
        rule = system.file.write[entity]
        named = [*rule.fields, *(f"{lines.into}.{field}" for lines in rule.lines for field in lines.fields)]
        ways = ["/".join(step for step, _ in paths.steps(one)) if "." in one else one for one in named]
        assert [
            way for way in ways if way not in known and way.rpartition("/")[2] not in paths.COMPUTED
        ] == []


# ---- The language --------------------------------------------------------------------------------


def test_days_are_days_and_instants_are_instants() -> None:
    assert odata.date_text("/Date(1776470400000)/") == "2026-04-18T00:00:00"
    assert odata.date_text("/Date(1776543809593+0000)/") == "2026-04-18T20:23:29.593Z"
    assert odata.date_text("/Date(-62135596800000)/") == "0001-01-01T00:00:00"
    assert odata.date_text("no date") == "no date"
    moscow = datetime(2026, 4, 18, 23, 23, 29, 900000, tzinfo=ZoneInfo("Europe/Moscow"))
    assert odata.instant(moscow) == "datetimeoffset'2026-04-18T20:23:29Z'"


def test_numbers_never_pass_through_a_float() -> None:
    row = odata.listed(b'{"d":{"A":"1670.000","B":0.1,"C":12345678901234567890.123456789}}').rows[0]
    assert odata.payload(row) == b'{"A":"1670.000","B":0.1,"C":12345678901234567890.123456789}'


def test_literals_are_quoted_and_long_lists_are_cut() -> None:
    assert odata.either("A", ["it's"]) == "A eq 'it''s'"
    assert odata.after(("A", "B"), ("1", "2")) == "(A gt '1') or (A eq '1' and B gt '2')".join("()")
    parts = list(odata.chunks("SalesOrder", [str(n) for n in range(1000)], 4000))
    assert sum(len(values) for values, _ in parts) == 1000
    assert len(parts) < 12
