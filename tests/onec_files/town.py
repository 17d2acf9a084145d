"""A base and our side of its exchange folder, with records to send."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from resources.accounting.onec_files.connector import OneCFiles
from resources.accounting.onec_files.settings import Settings
from sandbox.onec_exchange import Base

NOW = 1_772_700_000.0  # 2026-03-05
FIRM, ROUBLE, PIECE = (f"00000000-0000-4000-8000-{n:012}" for n in (1, 2, 4))


def key(name: str) -> str:
    """A key of ours, as deterministic as theirs."""
    return str(uuid5(NAMESPACE_URL, name))


@dataclass
class Town:
    """`ours` is opened anew by `reopen`, as by another process."""

    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    echo: bool = True
    now: float = NOW

    def __post_init__(self) -> None:
        self.exchange = self.folder / "exchange"
        self.exchange.mkdir(exist_ok=True)
        self.base = Base(self.exchange, echo=self.echo)
        self.ours = self.reopen()

    def reopen(self) -> OneCFiles:
        connection = {
            "exchange": self.exchange,
            "state": self.folder / "state",
            "us": "СВ",
            "base": "БП",
            **self.options,
        }
        self.ours = OneCFiles("books", Settings.read("books", connection), clock=lambda: self.now)
        return self.ours

    def settled(self) -> None:
        """Everything in the folders was written a while ago."""
        for path in self.folder.rglob("*"):
            if path.is_file():
                os.utime(path, (self.now - 60, self.now - 60))

    def run(self) -> None:
        """The base runs its exchange once."""
        self.base.exchange()
        self.settled()

    def start(self) -> None:
        """The base sends its catalogues, and we take them."""
        self.base.opening()
        self.run()
        self.ours.exchange.take()

    def message(self) -> bytes:
        """Our message as it lies in the folder."""
        return (self.exchange / "Message_СВ_БП.xml").read_bytes()


def counterparty(name: str = "Ромашка ООО") -> dict[str, Any]:
    return {
        "КлючевыеСвойства/Наименование": name,
        "КлючевыеСвойства/ИНН": "7707083893",
        "КлючевыеСвойства/КПП": "770701001",
        "КлючевыеСвойства/ЮридическоеФизическоеЛицо": "ЮридическоеЛицо",
    }


def contract(party: str) -> dict[str, Any]:
    return {
        "КлючевыеСвойства/ВидДоговора": "СПокупателем",
        "КлючевыеСвойства/Организация/Ссылка": FIRM,
        "КлючевыеСвойства/Контрагент/Ссылка": party,
        "КлючевыеСвойства/ВалютаВзаиморасчетов/Ссылка": ROUBLE,
        "КлючевыеСвойства/Наименование": "Основной договор",
    }


def product() -> dict[str, Any]:
    return {
        "КлючевыеСвойства/Наименование": 'Стол "Дуб" <2>',
        "КлючевыеСвойства/Артикул": "T-1",
        "ТипНоменклатуры": "Товар",
        "ЕдиницаИзмерения/Ссылка": PIECE,
    }


def realization(party: str, deal: str, item: str, amount: str = "1220.10") -> dict[str, Any]:
    return {
        "КлючевыеСвойства/Дата": "2026-03-04T12:00:00",
        "КлючевыеСвойства/Организация/Ссылка": FIRM,
        "ВидОперации": "РеализацияКлиенту",
        "Валюта/Ссылка": ROUBLE,
        "Сумма": Decimal(amount),
        "СуммаВключаетНДС": True,
        "Контрагент/Ссылка": party,
        "ДанныеВзаиморасчетов/Договор/Ссылка": deal,
        "Комментарий": "Сделка 17",
        "Товары": [
            {
                "НомерСтрокиДокумента": 1,
                "ДанныеНоменклатуры/Номенклатура/Ссылка": item,
                "ЕдиницаИзмерения/Ссылка": PIECE,
                "Количество": Decimal("2.000"),
                "Цена": Decimal("610.05"),
                "Сумма": Decimal(amount),
                "СтавкаНДС": "НДС20",
                "СуммаНДС": Decimal("203.35"),
            }
        ],
    }


PARTY, DEAL, ITEM = key("party"), key("deal"), key("item")


def known(town: Town) -> None:
    """The records that a document names are in the base, and told."""
    town.start()
    town.ours.create("counterparty", PARTY, counterparty())
    town.ours.create("contract", DEAL, contract(PARTY))
    town.ours.create("product", ITEM, product())
    town.run()
    town.ours.exchange.take()
