"""Megaplan's connector among bad answers, limits and wrong connections; how it is let in."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from resources.budget import LocalBudget
from resources.connector import SourceError
from resources.crm.megaplan import connector as megaplan
from resources.crm.megaplan.connector import LIMITS, Megaplan
from resources.tokens import MemoryTokens
from tests.megaplan.town import (
    READ,
    Bend,
    Send,
    Town,
    Unlimited,
    asked,
    asking,
    bent,
    living,
    now,
    opened,
    said,
    whole,
)

HOUR = timedelta(hours=1)


# ---- Letting in ---------------------------------------------------------------------------------


def test_a_password_lets_in_its_tokens_rotate_and_taken_back_ones_are_renewed(town: Town) -> None:
    names = ("url", "username", "password")
    tokens = MemoryTokens()
    crm = opened({name: town.connection[name] for name in names}, tokens)
    deals = set(living(whole(crm, "deal"), "deal"))
    first = tokens.token
    assert first
    assert first.refresh
    assert first.expires_at
    assert first.expires_at > now() + 47 * HOUR
    for what in ("expire", "revoke"):  # a 200 with 401 inside; then the refresh token is refused too
        town.sandbox.control("crm/megaplan/tokens", {"do": what})
        assert set(living(whole(crm, "deal"), "deal")) == deals
    assert tokens.token
    assert tokens.token.refresh != first.refresh
    crm.close()


def test_a_wrong_password_is_told_without_showing_it(town: Town) -> None:
    crm = opened({"url": town.connection["url"], "username": "nobody", "password": "s3cret-word"})
    with pytest.raises(SourceError, match="check username and password in the connection") as told:
        whole(crm, "deal")
    assert not told.value.retriable
    assert "s3cret-word" not in str(told.value)


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        ({"url": ""}, "url is no address"),
        ({"url": "https://megaplan.ru", "application_token": "x"}, "vendor's own site"),
        ({"url": "https://shop.megaplan.ru"}, "lacks username and password"),
        ({"url": "https://shop.megaplan.ru", "username": "a"}, "lacks password"),
        ({"url": "https://shop.megaplan.ru", "application_token": "x", "page": "many"}, "page is 'many'"),
        ({"url": "http://shop.megaplan.ru", "application_token": "x"}, "plain http"),
    ],
)
def test_a_connection_that_cannot_work_is_told_by_its_key(connection: dict[str, str], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        megaplan.connect("megaplan", connection)


# ---- Limits and bad input -----------------------------------------------------------------------


def test_the_hours_limit_is_never_passed_and_nearly_used_up() -> None:
    clock = [0.0]
    budget = LocalBudget(*LIMITS, clock=lambda: clock[0])
    granted: list[float] = []
    while clock[0] < 3 * 3600:
        wait = budget.take()
        if wait:
            clock[0] += wait
        else:
            granted.append(clock[0])
    ends = range(3600, 3 * 3600, 60)
    in_an_hour = [sum(end - 3600 <= at < end for at in granted) for end in ends]
    assert max(in_an_hour) <= 3000
    assert min(in_an_hour) >= 2700


@pytest.mark.parametrize(("header", "seconds"), [({"Retry-After": "7"}, 7.0), ({}, 60.0)])
def test_a_refusal_for_the_rate_closes_the_account_for_as_long_as_it_says(
    town: Town, header: dict[str, str], seconds: float
) -> None:
    answers = [
        httpx.Response(429, headers=header, json={"meta": {"status": 429, "errors": []}, "data": None})
    ]
    crm = bent(town, lambda request, send: answers.pop() if answers else send(request))
    assert set(living(whole(crm, "deal"), "deal")) == set(town.truth("deal"))
    assert isinstance(crm.client.budget, Unlimited)
    assert crm.client.budget.blocked == [seconds]


def cut(request: httpx.Request, send: Send) -> httpx.Response:
    answer = json.loads(send(request).content)
    answer["data"] = answer["data"][:-1]
    return httpx.Response(200, json=answer)


def repeats(request: httpx.Request, send: Send) -> httpx.Response:
    return send(asking(request, {key: value for key, value in asked(request).items() if key != "pageAfter"}))


def in_the_middle(answer: Callable[[], httpx.Response]) -> Bend:
    return lambda request, send: answer() if "pageAfter" in asked(request) else send(request)


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (cut, "announces 20 rows and holds 19: it is cut"),
        (repeats, "repeats the one before it"),
        (in_the_middle(lambda: httpx.Response(200, html="<h1>Авторизация</h1>")), "a page came instead of data"),
        (in_the_middle(lambda: httpx.Response(200, content=b'{"meta":{"status":200},"da')), "cut off"),
        (in_the_middle(lambda: httpx.Response(200, json={"items": []})), "no meta.status"),
        (in_the_middle(lambda: httpx.Response(503, html="<h1>nginx</h1>")), r"status 503: nginx \(2 attempts\)"),
        (in_the_middle(lambda: said(None, 500, "Internal", http=200)), "status 500 within HTTP 200: Internal"),
        (in_the_middle(lambda: said(None, 403, "Доступ запрещён")), "give this user the right"),
        (in_the_middle(lambda: said(None, 401, "expired", http=200)), "status 401 within HTTP 200: expired; check"),
        (in_the_middle(lambda: httpx.Response(302, headers={"location": "https://evil.example/api"})), "evil.example"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_told_and_the_next_read_loses_nothing(town: Town, bend: Bend, message: str) -> None:
    bad = [True]
    crm = bent(town, lambda request, send: bend(request, send) if bad else send(request))
    with pytest.raises(SourceError, match=message):
        whole(crm, "deal")
    bad.clear()
    assert set(living(whole(crm, "deal"), "deal")) == set(town.truth("deal"))


def test_a_custom_field_that_disappeared_is_named_with_the_file_to_correct(town: Town, crm: Megaplan) -> None:
    crm.fields_read = {"deal": (*READ["deal"], "Category1000061CustomFieldGone")}
    with pytest.raises(
        SourceError, match=r"deal has no field Category1000061CustomFieldGone.*megaplan\.yaml"
    ):
        whole(crm, "deal")
    crm.fields_read = {"requisite": ("inn", "Category1000090CustomFieldGone")}
    with pytest.raises(SourceError, match="requisite has no field Category1000090CustomFieldGone"):
        whole(crm, "requisite")
    found = {finding.subject: finding for finding in crm.check()}
    assert not found["requisite field Category1000090CustomFieldGone"].ok
    assert "megaplan.yaml" in found["requisite field Category1000090CustomFieldGone"].remedy
    for subject in ("connection", "deal", "company field Category1000083CustomFieldZadolzhennost"):
        assert found[subject].ok
    crm.fields_read = READ
    assert set(living(whole(crm, "deal"), "deal")) == set(town.truth("deal"))


def test_the_check_names_a_right_that_the_user_lacks(town: Town) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if request.url.path.endswith("/currentUser"):
            return said(
                {"contentType": "Employee", "id": "1", "name": "Анна", "possibleActions": ["deal_enter"]}
            )
        return said(None, 403, "нет") if request.url.path.endswith("/offer") else send(request)

    found = {finding.subject: finding for finding in bent(town, bend).check()}
    assert not found["rights"].ok
    assert "clients, products" in found["rights"].message
    assert not found["product"].ok
    assert "give this user the right" in found["product"].message
    assert found["deal"].ok


def test_a_record_that_is_hidden_is_no_deleted_one(town: Town, crm: Megaplan) -> None:
    (page,) = list(crm.read_keys("deal", ["99999999"]))
    assert [(record.source_id, record.deleted) for record in page.records] == [("99999999", True)]

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        hidden = {"meta": {"status": 403, "errors": []}, "data": None}
        return said([hidden]) if request.url.path.endswith("/bulk") else send(request)

    with pytest.raises(SourceError, match="99999999 is there and may not be seen"):
        list(bent(town, bend).read_keys("deal", ["99999999"]))
