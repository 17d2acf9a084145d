"""The portal's tables over the projected company, and the writes that change them.

The state of a fresh portal follows from the company, so only what was written since is journalled: every
table lays its overlay (a collection of the store) over the projection.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sandbox import dirt
from sandbox.bitrix24 import fields, projection
from sandbox.bitrix24.activities import activity_records
from sandbox.bitrix24.invoices import CATEGORY, invoice_id, invoice_record
from sandbox.bitrix24.invoices import stage as invoice_stage
from sandbox.bitrix24.table import Table
from sandbox.company.model import LOST_STAGES, MOSCOW, WON_STAGES, Company, Deal, kopecks
from sandbox.store import Record, Store

OWNER_CODES = {"D": fields.DEAL, "SI": 31, "L": 1, "Q": 7}
PRESETS = (
    ("1", "Организация", "#CRM_REQUISITE_PRESET_DEF_RU_COMPANY#"),
    ("2", "ИП", "#CRM_REQUISITE_PRESET_DEF_RU_INDIVIDUAL#"),
    ("3", "Физ. лицо", "#CRM_REQUISITE_PRESET_DEF_RU_PERSON#"),
)
STAGE_NAMES = (
    # entity, stage, name, semantics
    ("DEAL_STAGE", "NEW", "Новая", None),
    ("DEAL_STAGE", "PREPARATION", "Подготовка документов", None),
    ("DEAL_STAGE", "UC_7T1QXK", "Согласование у юриста", None),
    ("DEAL_STAGE", "PREPAYMENT_INVOICE", "Счёт на предоплату", None),
    ("DEAL_STAGE", "EXECUTING", "В работе", None),
    ("DEAL_STAGE", "FINAL_INVOICE", "Отгружено", None),
    ("DEAL_STAGE", "WON", "Сделка успешна", "S"),
    ("DEAL_STAGE", "LOSE", "Сделка провалена", "F"),
    ("DEAL_STAGE_1", "C1:NEW", "Новая", None),
    ("DEAL_STAGE_1", "C1:UC_M2P0ZD", "Ждём техзадание", None),
    ("DEAL_STAGE_1", "C1:EXECUTING", "В работе", None),
    ("DEAL_STAGE_1", "C1:WON", "Акт подписан", "S"),
    ("DEAL_STAGE_1", "C1:LOSE", "Отказ", "F"),
    ("SOURCE", "CALL", "Звонок", None),
    ("SOURCE", "EMAIL", "Электронная почта", None),
    ("SOURCE", "WEB", "Веб-сайт", None),
    ("SOURCE", "ADVERTISING", "Реклама", None),
    ("SOURCE", "PARTNER", "Существующий клиент", None),
    ("SOURCE", "RECOMMENDATION", "По рекомендации", None),
    ("SOURCE", "TRADE_SHOW", "Выставка", None),
    ("DEAL_TYPE", "GOODS", "Продажа товара", None),
    ("DEAL_TYPE", "SERVICES", "Услуги", None),
)
CATEGORIES = ((0, "Продажа товаров", 100, "Y"), (1, "Услуги", 200, "N"))
CURRENCIES = (
    ("RUB", "1.0000", "Y", "Российский рубль"),
    ("USD", "80.9000", "N", "Доллар США"),
    ("EUR", "94.1500", "N", "Евро"),
)
PRICE_TYPES = ((1, "BASE"), (2, "Оптовая"))
NAMED_BY = {
    fields.COMPANY: ("companyId", "companyIds"),
    fields.CONTACT: ("contactId", "contactIds"),
    fields.DEAL: ("parentId2", ""),
}
WHOLESALE = Decimal("0.9")
VATS = ((1, "Без НДС", None), (2, "НДС 0%", 0), (3, "НДС 10%", 10), (5, "НДС 20%", 20), (7, "НДС 22%", 22))


def now() -> datetime:
    """The portal's clock: real time, whole seconds, server zone."""
    return datetime.now(UTC).astimezone(MOSCOW).replace(microsecond=0)


class Portal:
    def __init__(self, company: Company, store: Store, founded: datetime) -> None:
        """`founded` is when the portal's data was first made: base records are older than it."""
        self.company = company
        self.store = store
        self.founded = founded.astimezone(MOSCOW)
        self.by_deal_id = {projection.deal_id(key): key for key in company.deals}
        self.items: dict[int, Table] = {
            kind: Table(
                fields.kinds_of(fields.ITEM_FIELDS[kind]), "id", "updatedTime", self._overlay(str(kind))
            )
            for kind in fields.ITEM_FIELDS
        }
        self.requisites = Table(fields.REQUISITE, "ID", None, self._overlay("requisite"))
        self.addresses = Table(fields.ADDRESS, "LOC_ADDR_ID", None, self._overlay("address"))
        self.links = Table(fields.REQUISITE_LINK, "ENTITY_ID", None, self._overlay("link"))
        self.banks = Table(fields.BANK_DETAIL, "ID")
        self.tasks = Table(fields.TASK, "ID", None, self._overlay("task"))
        self.products = Table(fields.PRODUCT, "id", "timestampX")
        self.prices = Table(fields.PRICE, "id")
        self.history = Table(fields.STAGE_HISTORY, "ID", None, self._overlay("history"))
        self._history_seeded = False
        self._activities = Table(fields.ACTIVITY, "ID", "LAST_UPDATED", self._overlay("activity"))
        self._activities_seeded = False
        self._base = [
            (d, company.dirt_of("deal", d.id).get("stage_without_rule", d.stage))
            for d in company.deals.values()
        ]
        self.rows = self._overlay("rows")
        self._rng = random.Random(f"{company.seed}:portal")
        self._seed()

    def rows_of(self, owner: int) -> list[Record]:
        """Product rows of a deal: as written last, else as projected."""
        written = self.rows.get(str(owner))
        if written is not None:
            return list(written["rows"])
        key = self.by_deal_id.get(owner)
        if key is None or owner not in self.items[fields.DEAL]:
            return []
        return projection.row_records(self.company, self.company.deals[key])

    def stage_history(self) -> Table:
        """The stage history; made at its first reading, since few ask for it and it is three rows a deal."""
        if not self._history_seeded:
            self._history_seeded = True
            self.history.seed(self._base_history())
        return self.history

    def activities(self) -> Table:
        """Calls, letters and meetings; made at their first reading, as the stage history is."""
        if not self._activities_seeded:
            self._activities_seeded = True
            deals = (d for d, _ in self._base if projection.deal_id(d.id) in self.items[fields.DEAL])
            rows = (row for deal in deals for row in activity_records(self.company, deal, self.founded))
            self._activities.seed(rows)
        return self._activities

    def activities_of(self, kind: int, number: int) -> list[Record]:
        """Those of one record."""
        owned = self.activities().where("OWNER_ID", str(number))
        return [row for row in owned if row["OWNER_TYPE_ID"] == str(kind)]

    def update_item(
        self, kind: int, number: int, changes: dict[str, Any], user: int = projection.ADMIN
    ) -> Record:
        """Change fields of a record that exists. Every update moves the modification stamp."""
        table = self.items[kind]
        row = table.get(number)
        if row is None:
            raise KeyError(number)
        stage = row.get("stageId")
        row.update(changes)
        stamp = projection.iso(now())
        row.update(updatedTime=stamp, updatedBy=user, lastActivityTime=stamp)
        if kind == fields.DEAL and row["stageId"] != stage:
            self._moved(row, stamp, user)
        table.put(row)
        return row

    def add_item(self, kind: int, values: dict[str, Any]) -> Record:
        """Make a record; empty fields get what the portal gives them."""
        table = self.items[kind]
        number = 500_000 + self.store.counter(f"bitrix24.item.{kind}")
        stamp = projection.iso(now())
        row: Record = dict.fromkeys(table.kinds, None)
        row |= {"id": number, "entityTypeId": kind, "opened": "Y", "assignedById": projection.ADMIN}
        if kind == fields.DEAL:
            row |= {"title": f"Сделка #{number}", "categoryId": 0, "stageId": "NEW", "stageSemanticId": "P"}
            row |= {"opportunity": 0.0, "isManualOpportunity": "N", "currencyId": "RUB", "closed": "N"}
            row |= {"companyId": 0, "contactId": 0, "contactIds": [], "observers": []}
        elif kind == fields.COMPANY:
            row |= {"title": f"Компания #{number}", "isMyCompany": "N", "contactIds": [], "fm": []}
        elif kind == fields.INVOICE:
            row |= {"title": f"Счёт #{number}", "accountNumber": str(number), "categoryId": CATEGORY}
            row |= {
                "stageId": invoice_stage("N"),
                "opportunity": 0.0,
                "isManualOpportunity": "N",
                "currencyId": "RUB",
            }
            row |= {"companyId": 0, "contactId": 0, "contactIds": [], "observers": [], "movedTime": stamp}
        else:
            row |= {"companyId": 0, "companyIds": [], "fm": []}
        row.update(values)
        row |= dict.fromkeys(("createdTime", "updatedTime", "lastActivityTime"), stamp)
        row |= dict.fromkeys(("createdBy", "updatedBy", "lastActivityBy"), projection.ADMIN)
        if kind == fields.DEAL:
            self._moved(row, stamp, projection.ADMIN, first=True)
        table.put(row)
        return row

    def import_item(self, kind: int, values: dict[str, Any], history: dict[str, Any]) -> Record:
        """Make a record whose dates and people another system knows (`history`)."""
        row = self.add_item(kind, values)
        row.update(history)
        self.items[kind].put(row)
        return row

    def delete_item(self, kind: int, number: int) -> None:
        """Raises KeyError when there is none. Its product rows, requisites and activities go with it, and what named it names
        nothing from then on, its stamp as it was (CCrmContact::ProcessCompanyDeletion of the box edition)."""
        for activity in self.activities_of(kind, number):
            self.activities().delete(int(activity["ID"]))
        self.items[kind].delete(number)
        if kind != fields.DEAL:
            self.hand_over(kind, number, 0)
        if kind == fields.DEAL:
            self.rows.put(str(number), {"rows": []})
            if number in self.links:
                self.links.delete(number)
        elif kind == fields.COMPANY:
            for requisite in self.requisites_of(number):
                self.requisites.delete(int(requisite["ID"]))
                for address in self.addresses.where("ENTITY_ID", requisite["ID"]):
                    self.addresses.delete(int(address["LOC_ADDR_ID"]))

    def hand_over(self, kind: int, loser: int, main: int) -> None:
        """Let every record that names one company, contact or deal name another, or none (0); no stamp moves."""
        for activity in self.activities_of(kind, loser) if main else ():
            self.activities().put({**activity, "OWNER_ID": str(main)})
        single, several = NAMED_BY.get(kind, ("", ""))
        for other, table in self.items.items():
            known = fields.kinds_of(fields.ITEM_FIELDS[other])
            for row in table.where(single, loser) if single in known else ():
                row[single] = main
                if several in known:
                    row[several] = [
                        main if n == loser else n for n in row.get(several) or () if main or n != loser
                    ]
                table.put(row)

    def requisites_of(self, owner: int) -> list[Record]:
        from sandbox.bitrix24.table import PAGE, read_where

        where = read_where({"ENTITY_TYPE_ID": 4, "ENTITY_ID": owner}, self.requisites.kinds, strict=True)
        ids = self.requisites.page(where, (), -1).ids[:PAGE]
        return [row for key in ids if (row := self.requisites.get(key)) is not None]

    def hand_over_requisites(self, loser: int, main: int) -> None:
        """Let a company's legal details, and their addresses, belong to another; no stamp moves."""
        for requisite in self.requisites_of(loser):
            self.requisites.put({**requisite, "ENTITY_ID": str(main)})
            for address in self.addresses.where("ENTITY_ID", requisite["ID"]):
                self.addresses.put({**address, "ANCHOR_ID": str(main)})

    def set_rows(self, owner: int, rows: list[Record]) -> None:
        """Replace all product rows of a deal and recalculate its amount unless that is set by hand.

        Whether the deal's updatedTime moves is not documented: here it does for every other deal.
        """
        self.rows.put(str(owner), {"rows": rows})
        deal = self.items[fields.DEAL].get(owner)
        if deal is None:
            raise KeyError(owner)
        if deal["isManualOpportunity"] != "Y":
            deal["opportunity"] = round(sum(round(r["price"] * r["quantity"], 2) for r in rows), 2)
            deal["taxValue"] = round(
                sum(round((r["price"] - r["priceExclusive"]) * r["quantity"], 2) for r in rows), 2
            )
        if owner % 2 == 0:
            deal["updatedTime"] = deal["lastActivityTime"] = projection.iso(now())
        self.items[fields.DEAL].put(deal)

    def next_row_id(self) -> int:
        return 100_000_000 + self.store.counter("bitrix24.row")

    def project_deal(self, deal: Deal, touch: bool = True) -> None:
        """Show a deal as the company now has it. What accounting wrote back stays.

        `touch=False` leaves the modification stamp where it was, as some row changes do.
        """
        table = self.items[fields.DEAL]
        number = projection.deal_id(deal.id)
        self.by_deal_id[number] = deal.id
        before = table.get(number)
        row = projection.deal_record(self.company, deal, now())
        if row is None:
            if before is not None:
                self.delete_item(fields.DEAL, number)
            return
        if before is not None:
            for field in ("ufCrmSverkaPaymentStatus", "ufCrmSverkaShipmentStatus", "ufCrmSverkaDebt"):
                row[field] = before[field]
            for field in ("movedTime", "comments", "movedBy") + (() if touch else ("updatedTime",)):
                row[field] = before[field]
        if before is None or before["stageId"] != row["stageId"]:
            self._moved(row, row["updatedTime"], row["assignedById"], first=before is None)
        table.put(row)
        if before is None:
            for activity in activity_records(self.company, deal, now(), now()):
                self.activities().put(activity)
        self._project_invoice(deal, row)
        self.rows.put(str(number), {"rows": projection.row_records(self.company, deal)})
        link = projection.link_record(self.company, deal)
        if link is not None:
            self.links.put(link)
        elif number in self.links:
            self.links.delete(number)

    def _project_invoice(self, deal: Deal, shown: Record) -> None:
        """The invoice follows its deal: written, changed, and left as it is once the deal owes none."""
        table = self.items[fields.INVOICE]
        stamp = projection.iso(now())
        invoice = invoice_record(self.company, deal, shown, stamp)
        before = table.get(invoice_id(deal.id))
        if invoice is not None and (before is None or {**before, **_stamps(invoice)} != invoice):
            table.put(invoice)

    def project_client(self, client: str) -> None:
        """Show a client as the company now has it: duplicates that are gone vanish with their requisites."""
        stamp = now()
        shown = list(projection.company_records(self.company, client, stamp))
        for row in shown:
            before = self.items[fields.COMPANY].get(row["id"])
            row["ufCrmSverkaDebt"] = before["ufCrmSverkaDebt"] if before else None
            row["createdTime"] = before["createdTime"] if before else projection.iso(stamp)
            self.items[fields.COMPANY].put(row)
        duplicate = projection.company_id(client, duplicate=True)
        if len(shown) == 1 and duplicate in self.items[fields.COMPANY]:
            self.hand_over(fields.COMPANY, duplicate, projection.company_id(client))
            self.delete_item(fields.COMPANY, duplicate)
        requisites = list(projection.requisite_records(self.company, client, projection.iso(stamp)))
        for requisite in requisites:
            self.requisites.put(requisite)
        for address in projection.address_records(self.company, client, requisites):
            self.addresses.put(address)

    def _overlay(self, name: str) -> Any:
        return self.store.collection(f"bitrix24.{name}")

    def _moved(self, row: Record, stamp: str, user: int, first: bool = False) -> None:
        stage = row["stageId"]
        semantic = "S" if stage in WON_STAGES else "F" if stage in LOST_STAGES else "P"
        row.update(
            stageSemanticId=semantic, closed="N" if semantic == "P" else "Y", movedTime=stamp, movedBy=user
        )
        if semantic != "P" and not first:
            row["closedate"] = row.get("closedate") or f"{stamp[:10]}T03:00:00+03:00"
        self.stage_history().put(
            {
                "ID": 100_000_000 + self.store.counter("bitrix24.history"),
                "TYPE_ID": 1 if first else 2 if semantic == "P" else 3,
                "OWNER_ID": row["id"],
                "CREATED_TIME": stamp,
                "CATEGORY_ID": row["categoryId"],
                "STAGE_SEMANTIC_ID": semantic,
                "STAGE_ID": stage,
            }
        )

    def _seed(self) -> None:
        company = self.company
        deals = company.deals.values()
        self.items[fields.DEAL].seed(
            row
            for deal in deals
            if (row := projection.deal_record(company, deal, dirt.touched_at(deal, self.founded))) is not None
        )
        self.items[fields.COMPANY].seed(
            [
                projection.own_company_record(company),
                *(
                    row
                    for c in company.clients
                    for row in projection.company_records(company, c, self._old(c))
                ),
            ]
        )
        self.items[fields.CONTACT].seed(
            projection.contact_record(company, c, self._old(c)) for c in company.clients
        )
        self.requisites.seed(
            [
                projection.own_requisite_record(company),
                *(row for c in company.clients for row in projection.requisite_records(company, c)),
            ]
        )
        self.addresses.seed(
            row
            for c in company.clients
            for row in projection.address_records(company, c, projection.requisite_records(company, c))
        )
        self.links.seed(row for deal in deals if (row := projection.link_record(company, deal)) is not None)
        self.banks.seed(self._banks())
        self.products.seed(self._products())
        self.prices.seed(self._prices())
        self.tasks.seed(())
        self.items[fields.INVOICE].seed(self._invoices(deals))

    def _old(self, client: str) -> datetime:
        days = dirt.number_of(client) * 37 % 380
        return self.founded - timedelta(days=2 + days, seconds=dirt.number_of(client) * 13)

    def _base_history(self) -> Iterable[Record]:
        for deal, stage in self._base:
            yield from projection.history_records(deal, stage, dirt.touched_at(deal, self.founded))

    def _banks(self) -> Iterable[Record]:
        for number, (client, parties) in enumerate(self.company.clients.items()):
            if number % 2:
                continue
            requisite = projection.requisite_id(parties[0])
            yield {
                "ID": str(requisite), "ENTITY_TYPE_ID": "8", "ENTITY_ID": str(requisite), "COUNTRY_ID": "1",
                "DATE_CREATE": projection.iso(self._old(client)), "DATE_MODIFY": "", "NAME": "Расчётный счёт",
                "XML_ID": None, "ACTIVE": "Y", "SORT": "500", "RQ_BANK_NAME": "АО «БАНК СЕВЕР»",
                "RQ_BIK": "041117601", "RQ_ACC_NUM": f"40702810{number:012d}",
                "RQ_COR_ACC_NUM": "30101810100000000601", "RQ_ACC_CURRENCY": "RUB", "RQ_IBAN": None,
                "RQ_SWIFT": None,
            }  # fmt: skip

    def _products(self) -> Iterable[Record]:
        stamp = projection.iso(self.founded - timedelta(days=40))
        for product in self.company.products.values():
            yield {
                "id": projection.product_id(product.id), "iblockId": projection.CATALOG_ID,
                "iblockSectionId": None, "name": product.name, "active": "Y",
                "code": product.code.lower(), "xmlId": product.code,
                "measure": 9 if product.is_service else 6 if product.unit == "м" else 5,
                "vatId": projection.VAT_IDS[product.vat_rate or None], "vatIncluded": "Y", "quantity": 0.0,
                "quantityReserved": 0.0, "type": 7 if product.is_service else 1,
                "dateCreate": projection.iso(dirt.FIRST_STAMP), "timestampX": stamp,
            }  # fmt: skip

    def _invoices(self, deals: Iterable[Deal]) -> Iterable[Record]:
        for deal in deals:
            stamp = dirt.touched_at(deal, self.founded)
            shown = projection.deal_record(self.company, deal, stamp)
            invoice = invoice_record(self.company, deal, shown, projection.iso(stamp)) if shown else None
            if invoice is not None:
                yield invoice

    def _prices(self) -> Iterable[Record]:
        stamp = projection.iso(self.founded - timedelta(days=40))
        for product in self.company.products.values():
            number = projection.product_id(product.id)
            wholesale = projection.number(kopecks(product.price * WHOLESALE))
            for kind, price in ((1, float(product.price)), (2, wholesale)):
                yield {
                    "id": kind * 1000 + number, "productId": number, "catalogGroupId": kind, "price": price,
                    "currency": "RUB", "timestampX": stamp,
                }  # fmt: skip


def _stamps(row: Record) -> Record:
    return {name: row[name] for name in ("updatedTime", "lastActivityTime", "movedTime")}
