"""What people do in a Bitrix24 portal, by its own REST methods: 500 random changes of a running stand-in."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.sandbox_process import Running

DEAL, CONTACT, COMPANY, INVOICE = 2, 3, 4, 31
STAGES = {
    0: ("NEW", "PREPARATION", "EXECUTING", "WON", "LOSE"),
    1: ("C1:NEW", "C1:EXECUTING", "C1:WON", "C1:LOSE"),
}
PAGE, MAX_PAGES = 50, 1_000
MERGES = 8  # of a kind: more would look to the sweep like a right that was lost


@dataclass
class People:
    """They work in one portal; `quiet` are deals whose lines changed while their stamp stayed."""

    sandbox: Running
    rng: random.Random
    quiet: set[int] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)
    products: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[int, int] = field(default_factory=dict)  # how many of a kind there were when last looked

    def work(self, count: int) -> None:
        """So many changes; what finds nothing to change does not count."""
        kinds = list(_KINDS.items())
        weights = [weight for _, (weight, _) in kinds]
        for _ in range(count * 20):
            ((name, (_, act)),) = self.rng.choices(kinds, weights)
            self.done[name] += bool(act(self))
            if self.done.total() >= count:
                return
        raise AssertionError(f"only {self.done} was done")

    # ---- what they see ------------------------------------------------------------------------

    def rows(self, kind: int) -> list[dict[str, Any]]:
        return list(listed(self.sandbox, "crm.item.list", "items", entityTypeId=kind))

    def some(
        self, kind: int, fits: Callable[[dict[str, Any]], Any] = lambda row: True
    ) -> dict[str, Any] | None:
        start = self.rng.randrange(0, self.totals.get(kind, 1), PAGE)
        page = self.sandbox.call("crm.item.list", entityTypeId=kind, order={"id": "ASC"}, start=start)
        self.totals[kind] = max(1, page["total"])
        found = [row for row in page["result"]["items"] if fits(row)] or [
            row for row in self.rows(kind) if fits(row)
        ]
        return self.rng.choice(found) if found else None

    def update(self, kind: int, row: dict[str, Any], **fields: Any) -> bool:
        self.sandbox.call("crm.item.update", entityTypeId=kind, id=row["id"], fields=fields)
        if kind == DEAL:
            self.quiet.discard(row["id"])  # the stamp moved: the next read brings the lines too
        return True

    # ---- what they do -------------------------------------------------------------------------

    def edit_deal(self) -> bool:
        deal = self.some(DEAL)
        person = (self.some(COMPANY) or {}).get("assignedById")
        fields: dict[str, Any] = self.rng.choice(
            [
                {"title": f"Сделка после правки {self.rng.randrange(10**6)}"},
                {"assignedById": person},
                {"sourceId": self.rng.choice(["CALL", "WEB", "PARTNER"])},
                {"opportunity": self.rng.randrange(100, 10**7) / 100, "isManualOpportunity": "Y"},
            ]
        )
        return deal is not None and self.update(DEAL, deal, **fields)

    def move(self) -> bool:
        deal = self.some(DEAL)
        return deal is not None and self.update(
            DEAL, deal, stageId=self.rng.choice(STAGES[deal["categoryId"]])
        )

    def clear(self) -> bool:
        deal = self.some(DEAL, lambda row: row["companyId"])
        cleared: dict[str, Any] = self.rng.choice(
            [{"companyId": 0}, {"sourceId": ""}, {"contactId": 0, "contactIds": []}]
        )
        return deal is not None and self.update(DEAL, deal, **cleared)

    def change_lines(self) -> bool:
        """Whether the deal's stamp moves is for the portal to say."""
        if (deal := self.some(DEAL, lambda row: not row["title"].startswith("ТЕСТ"))) is None:
            return False
        self._set_lines(deal)
        return True

    def change_lines_quietly(self) -> int:
        """Until the portal leaves a deal's stamp alone; the deal."""
        for _ in range(MAX_PAGES):
            deal = self.some(DEAL, lambda row: not row["title"].startswith("ТЕСТ"))
            assert deal is not None
            self._set_lines(deal)
            if deal["id"] in self.quiet:
                return int(deal["id"])
        raise AssertionError("every change of lines moved the stamp")

    def _set_lines(self, deal: dict[str, Any]) -> None:
        self.products = self.products or list(
            listed(self.sandbox, "catalog.product.list", "products", select=["id", "iblockId"], filter={"iblockId": 24})
        )  # fmt: skip
        rows = [
            {"productId": self.rng.choice(self.products)["id"], "price": self.rng.randrange(1, 10**6) / 100,
             "quantity": self.rng.randrange(1, 9), "taxRate": 22, "taxIncluded": "Y"}
            for _ in range(self.rng.randrange(1, 4))
        ]  # fmt: skip
        self.sandbox.call("crm.item.productrow.set", ownerType="D", ownerId=deal["id"], productRows=rows)
        after = self.sandbox.call("crm.item.get", entityTypeId=DEAL, id=deal["id"])["result"]["item"]
        if after["updatedTime"] == deal["updatedTime"]:
            self.quiet.add(deal["id"])
        else:
            self.quiet.discard(deal["id"])

    def delete_deal(self) -> bool:
        if (deal := self.some(DEAL)) is None:
            return False
        self.sandbox.call("crm.item.delete", entityTypeId=DEAL, id=deal["id"])
        self.quiet.discard(deal["id"])
        return True

    def import_deal(self) -> bool:
        """With the dates of another system, months ago."""
        then = (datetime.now(UTC) - timedelta(days=self.rng.randrange(2, 90))).isoformat(timespec="seconds")
        company = self.some(COMPANY, lambda row: row["isMyCompany"] == "N")
        fields = {"title": f"Перенесённая {self.rng.randrange(10**6)}", "categoryId": 0, "stageId": "EXECUTING",
                  "companyId": company["id"] if company else 0, "opportunity": 1234.5, "isManualOpportunity": "Y",
                  "createdTime": then, "updatedTime": then}  # fmt: skip
        self.sandbox.call("crm.item.import", entityTypeId=DEAL, fields=fields)
        return True

    def edit_company(self) -> bool:
        company = self.some(COMPANY, lambda row: row["isMyCompany"] == "N")
        return company is not None and self.update(
            COMPANY, company, title=f"ООО Правка {self.rng.randrange(10**6)}"
        )

    def edit_contact(self) -> bool:
        contact, company = self.some(CONTACT), self.some(COMPANY, lambda row: row["isMyCompany"] == "N")
        return (
            contact is not None
            and company is not None
            and self.update(CONTACT, contact, companyId=company["id"], companyIds=[company["id"]])
        )

    def merge_companies(self) -> bool:
        few = self.done["merge_companies"] < MERGES
        return few and self._merge(COMPANY, lambda row: row["isMyCompany"] == "N")

    def merge_contacts(self) -> bool:
        return self.done["merge_contacts"] < MERGES and self._merge(CONTACT, lambda row: True)

    def _merge(self, kind: int, fits: Callable[[dict[str, Any]], Any]) -> bool:
        """The portal merges by itself only what does not contradict itself; people settle that first."""
        main, loser = self.some(kind, fits), self.some(kind, fits)
        if main is None or loser is None or main["id"] == loser["id"]:
            return False
        asked = {"entityTypeId": kind, "entityIds": [main["id"], loser["id"]]}
        if self._merged(asked)["STATUS"] == "CONFLICT":
            settled = ("title", "name", "lastName", "secondName", "post", "typeId", "sourceId", "companyId", "currencyId",
                       "industry")  # fmt: skip
            self.update(kind, loser, **{name: main[name] for name in settled if name in main})
            assert self._merged(asked) == {"STATUS": "SUCCESS", "ENTITY_IDS": [loser["id"]]}
        return True

    def _merged(self, asked: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.sandbox.call("crm.entity.mergeBatch", params=asked)["result"]
        return answer

    def edit_invoice(self) -> bool:
        invoice = self.some(INVOICE)
        fields: dict[str, Any] = self.rng.choice(
            [{"stageId": f"DT31_2:{letter}"} for letter in "NSPD"]
            + [{"opportunity": 777.7}, {"companyId": 0}]
        )
        return invoice is not None and self.update(INVOICE, invoice, **fields)

    def write_invoice(self) -> bool:
        if (deal := self.some(DEAL)) is None:
            return False
        fields = {"parentId2": deal["id"], "companyId": deal["companyId"], "opportunity": deal["opportunity"],
                  "begindate": "2026-05-05", "closedate": "2026-05-15"}  # fmt: skip
        self.sandbox.call("crm.item.add", entityTypeId=INVOICE, fields=fields)
        return True

    def delete_invoice(self) -> bool:
        if (invoice := self.some(INVOICE)) is None:
            return False
        self.sandbox.call("crm.item.delete", entityTypeId=INVOICE, id=invoice["id"])
        return True

    def call(self) -> bool:
        if (deal := self.some(DEAL)) is None:
            return False
        fields = {"OWNER_TYPE_ID": DEAL, "OWNER_ID": deal["id"], "TYPE_ID": 2, "DIRECTION": self.rng.randrange(1, 3),
                  "SUBJECT": "Звонок", "RESPONSIBLE_ID": deal["assignedById"], "COMPLETED": self.rng.choice("YN")}  # fmt: skip
        self.sandbox.call("crm.activity.add", fields=fields)
        return True

    def change_activity(self) -> bool:
        asked = {"order": {"ID": "DESC"}, "start": -1, "select": ["ID"]}
        number = self.rng.choice(self.sandbox.call("crm.activity.list", **asked)["result"])["ID"]
        if self.rng.random() < 0.2:
            self.sandbox.call("crm.activity.delete", id=number)
        else:
            said = self.rng.choice([{"COMPLETED": "Y"}, {"COMPLETED": "N"}, {"RESPONSIBLE_ID": 12}])
            self.sandbox.call("crm.activity.update", id=number, fields=said)
        return True

    def a_day(self) -> bool:
        """The company's own day: new deals, moves, mistakes, a duplicate and a merge in the interface."""
        before = {row["id"]: row for row in self.rows(DEAL)}
        told = self.sandbox.control("tick", {"days": 1, "deals": 2})
        assert "crm" in told, told
        events = self.sandbox.control("truth")["events"]
        quiet = [event for event in events if event["tick"] == told["tick"] and not event["seen"]]
        for event in quiet:
            self.quiet.add(100 + int(event["id"][1:]))
        for row in self.rows(DEAL):
            if row["updatedTime"] != before.get(row["id"], {}).get("updatedTime"):
                self.quiet.discard(row["id"])
        return True


_KINDS: dict[str, tuple[int, Callable[[People], bool]]] = {
    "edit_deal": (12, People.edit_deal),
    "move": (12, People.move),
    "clear": (4, People.clear),
    "change_lines": (12, People.change_lines),
    "delete_deal": (2, People.delete_deal),
    "import_deal": (4, People.import_deal),
    "edit_company": (4, People.edit_company),
    "edit_contact": (3, People.edit_contact),
    "merge_companies": (2, People.merge_companies),
    "merge_contacts": (2, People.merge_contacts),
    "edit_invoice": (4, People.edit_invoice),
    "write_invoice": (2, People.write_invoice),
    "delete_invoice": (1, People.delete_invoice),
    "call": (6, People.call),
    "change_activity": (4, People.change_activity),
    "a_day": (1, People.a_day),
}


def listed(
    sandbox: Running, method: str, wrapper: str, *, key: str = "id", **params: Any
) -> Iterator[dict[str, Any]]:
    """Every row of a list by its plain pages, as the oldest clients read them."""
    start: int | None = 0
    for _ in range(MAX_PAGES):
        page = sandbox.call(method, **params, order={key: "ASC"}, start=start)
        yield from page["result"][wrapper] if wrapper else page["result"]
        if (start := page.get("next")) is None:
            return
    raise AssertionError(f"{method} does not end")
