"""A portal that takes plain stamps only, in a zone whose clocks are put forward and back: no window begins too late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.small_portal import SmallPortal, everything, ids, opened

BERLIN = ZoneInfo("Europe/Berlin")
SUMMER, WINTER = datetime(2025, 7, 1, 9, tzinfo=UTC), datetime(2025, 1, 15, 9, tzinfo=UTC)
DAYS = [
    datetime(2025, 11, 3, 12, tzinfo=UTC),
    datetime(2025, 10, 26, 0, 30, tzinfo=UTC),  # before the hour that comes twice
    datetime(2025, 10, 26, 1, 30, tzinfo=UTC),  # in its second coming
    datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    datetime(2026, 6, 3, 12, tzinfo=UTC),
]


def written(at: datetime) -> str:
    return at.astimezone(BERLIN).isoformat(timespec="seconds")


@pytest.mark.parametrize("day", DAYS, ids=str)
@pytest.mark.parametrize("created", [SUMMER, WINTER], ids=["summer", "winter"])
@pytest.mark.parametrize("zone", [None, BERLIN], ids=["its stamps tell", "named"])
@pytest.mark.parametrize("is_learned", [True, False], ids=["learned before", "new"])
def test_whatever_was_changed_since_is_read(
    day: datetime, created: datetime, zone: ZoneInfo | None, is_learned: bool
) -> None:
    small = SmallPortal(120, iso=False)
    small.deals = [
        {
            "id": number,
            "createdTime": written(WINTER),
            "updatedTime": written(WINTER + timedelta(minutes=number)),
            "opportunity": 1,
        }
        for number in range(1, 121)
    ]
    crm = opened(small)
    crm._zone = zone
    if is_learned:  # how this portal takes a stamp
        everything(crm, "deal", since=WINTER)
    since = day - timedelta(hours=1)
    wanted = set()
    for minutes, deal in zip(range(0, 110, 10), small.deals[100:], strict=False):
        at = day - timedelta(minutes=minutes)
        deal |= {"createdTime": written(created), "updatedTime": written(at)}
        wanted |= {str(deal["id"])} if at >= since else set()
    found = set(ids(everything(crm, "deal", since=since), "deal"))
    assert wanted <= found
    assert len(found) <= 20, "not the whole list"


def test_the_date_of_an_answer_tells_how_far_the_portals_clock_lies_behind() -> None:
    headers = {"Date": (datetime.now(UTC) - timedelta(hours=2)).strftime("%a, %d %b %Y %H:%M:%S GMT")}

    class Dated(SmallPortal):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            answer = super().__call__(request)
            answer.headers.update(headers)
            return answer

    crm = opened(Dated(3))
    assert crm.clock_behind() == 0
    everything(crm, "deal")
    assert crm.clock_behind() == pytest.approx(7200, abs=60)
    # What a cache gave says nothing of now.
    headers |= {"Age": "7000", "Date": "Mon, 01 Jan 2024 00:00:00 GMT"}
    everything(crm, "deal")
    assert crm.clock_behind() == pytest.approx(7200, abs=60)
