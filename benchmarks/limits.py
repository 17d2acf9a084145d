"""Reading under the vendor's limits, beside fast-bitrix24, which is the best known reader of this portal.

Both read the same 50,000 deals and no more; a burst of 50 requests is free and covers them. Then ours alone
reads the deals with their lines and legal details, which takes more than the burst: from there on the
portal leaks two requests a second, and the share of burst and rate that ours uses is what counts.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Final

from benchmarks.figures import Figure
from benchmarks.place import Place, Spent, measured, say

DEALS: Final = 50_000
RATE, BURST = 2.0, 50  # the vendor's limit: requests a second, and how many at once
SHARE_OF_RATE: Final = 0.90
MIN_LIMITED: Final = 20  # requests beyond the burst, below which a rate says nothing


def run(place: Place, *, quick: bool) -> list[Figure]:
    deals = DEALS // 2 if quick else DEALS
    sandbox = place.sandbox(deals)
    theirs = place.worker("benchmarks.limits", "fast-bitrix24", sandbox.webhook, "-")
    time.sleep(BURST / RATE)  # the portal's bucket runs empty, so that the next one has its burst too
    ours = _ours(place, sandbox.webhook, "deal")
    time.sleep(BURST / RATE)
    whole = _ours(place, sandbox.webhook, "deal", "deal_line", "deal_requisite")
    place.drop("bench_limits")
    if theirs.said["rows"] != ours.said["rows"]:
        raise RuntimeError(f"fast-bitrix24 read {theirs.said['rows']} deals and ours {ours.said['rows']}")
    return [
        Figure("fast-bitrix24: requests", theirs.said["requests"], "", note=_of(theirs)),
        Figure("ours: requests", ours.said["requests"], "", at_most=theirs.said["requests"], note=_of(ours)),
        Figure("ours / fast-bitrix24, by the clock", ours.wall / theirs.wall, "times"),
        Figure("with lines and requisites: requests", whole.said["requests"], "", note=_of(whole)),
        Figure("permitted rate used while limited", _share(whole), "share", at_least=SHARE_OF_RATE),
    ]


def _ours(place: Place, webhook: str, *entities: str) -> Spent:
    warehouse = place.database("bench_limits")
    return place.worker("benchmarks.limits", "ours", webhook, warehouse.url, *entities)


def _of(spent: Spent) -> str:
    return f"{spent.said['rows']:,} records in {spent.wall:.1f} s, processor {spent.cpu:.1f} s"


def _share(spent: Spent) -> float:
    """Requests as a share of those that the vendor's bucket permits in that time: the burst, and the rate.

    Raises RuntimeError where it is more than all of them, or too few were limited to say anything.
    """
    times = spent.said["times"]
    if len(times) < BURST + MIN_LIMITED:
        raise RuntimeError(f"only {len(times) - BURST} requests were limited; read more deals")
    share = len(times) / (BURST + RATE * (times[-1] - times[0]))
    if share > 1:
        raise RuntimeError(f"{share:.2f} times what the portal permits was sent")
    return float(share)


# ---- in the worker -------------------------------------------------------------------------


def read_ours(webhook: str, url: str, *entities: str) -> dict[str, Any]:
    """The real connector with the budget that all processes share, into raw."""
    from pipelines.raw.load import read_source
    from resources.budget import SharedBudget
    from resources.crm.bitrix24 import connector as bitrix24
    from resources.warehouse import Warehouse

    warehouse = Warehouse(url)
    budget = SharedBudget("bitrix24", *bitrix24.LIMITS, warehouse.connect)
    portal = bitrix24.connect("bitrix24", {"url": webhook}, budget)
    times: list[float] = []
    portal.portal._client.event_hooks |= {"request": [lambda _: times.append(time.monotonic())]}
    with measured() as said:
        batches = read_source(warehouse, portal, entities=entities, full=True)
    portal.close()
    if errors := [batch.error for batch in batches if batch.error]:
        raise RuntimeError(errors[0])
    return said | {"rows": sum(batch.added for batch in batches), "requests": len(times), "times": times}


def read_theirs(webhook: str, _: str) -> dict[str, Any]:
    """fast-bitrix24 as its pages show it: get_all of the same method and fields, its limits on."""
    import aiohttp
    from fast_bitrix24 import Bitrix

    from resources.crm.bitrix24.entities import DEAL_FIELDS

    sent: list[str] = []
    plain = aiohttp.ClientSession._request

    async def counting(self: Any, method: str, url: Any, **options: Any) -> Any:
        sent.append(str(url))
        return await plain(self, method, url, **options)

    aiohttp.ClientSession._request = counting  # type: ignore[method-assign]
    portal = Bitrix(webhook, verbose=False)
    with measured() as said:
        found = portal.get_all("crm.item.list", {"entityTypeId": 2, "select": DEAL_FIELDS})
    return said | {"rows": len({row["id"] for row in found}), "requests": len(sent)}


HOWS: Final = {"ours": read_ours, "fast-bitrix24": read_theirs}


def main() -> None:
    logging.disable(logging.INFO)
    how, webhook, url, *entities = sys.argv[1:]
    say(HOWS[how](webhook, url, *entities))


if __name__ == "__main__":
    main()
