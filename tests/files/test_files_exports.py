"""The ready mappings of exports, from a dirty workbook and its CSV twin to the tables that people ask."""

from __future__ import annotations

import csv
import io
import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import psycopg
import pytest
import yaml

from mappings import MappingError, System, load
from pipelines.raw.load import Batch, read_source
from pipelines.table import tables
from resources.connector import SourceError
from resources.crm.files.connector import Files, connect
from resources.warehouse import Warehouse
from tests.files.dropped import sheet_time
from tests.mapping.mapping_road import ENVIRON, MAPPINGS, Road, write_folder

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
EXPORTS = ("deal_list", "marketing_spend", "onec_crm", "payment_schedule", "property_list", "spreadsheet")
numbers = itertools.count(1)
Rows = Sequence[Sequence[Any]]


class Export:
    """A ready mapping over a folder of its own, and the tables it fills in a database of its own."""

    def __init__(self, folder: Path, warehouse: Warehouse, name: str) -> None:
        setup = folder / "mappings"
        setup.mkdir()
        shutil.copy(MAPPINGS / "exports" / f"{name}.yaml", setup)
        shutil.copy(MAPPINGS / "demo" / "onec.yaml", setup)
        self.drops = folder / "drops"
        self.drops.mkdir()
        self.system: System = load(setup, {**ENVIRON, "SVERKA_DROP_FOLDER": str(self.drops)}).system(name)
        self.warehouse = warehouse
        self.hour = 0

    def drop(self, name: str, content: bytes) -> None:
        path = self.drops / name
        path.write_bytes(content)
        stamp = (NOON + timedelta(hours=self.hour)).timestamp()
        os.utime(path, (stamp, stamp))

    def source(self) -> Files:
        files = connect(self.system.name, self.system.connection)
        files.clock = lambda: NOON + timedelta(hours=self.hour)
        return files

    def read(self) -> Batch:
        """Read an hour later."""
        self.hour += 1
        return read_source(self.warehouse, self.source(), now=NOON + timedelta(hours=self.hour))[0]

    def table(self, name: str, *columns: str) -> dict[str, tuple[Any, ...]]:
        """A table made anew from what was read: its values by the source's id."""
        with self.warehouse.connect() as conn:
            road = Road(conn, self.system)
            conn.execute(f"drop table if exists {name}")
            conn.execute(tables()[name].create_sql)
            conn.execute("truncate ops.clean_value")
            road.refresh(name, everything=True)
            return {row["source_id"]: tuple(row[c] for c in columns) for row in road.rows(name)}

    def apart(self) -> list[tuple[str, str | None, str]]:
        return self.warehouse.rows(
            "select place, parent_id, reason from ops.quarantine where source = %s and resolved_at is null order by place",
            [self.system.name],
        )


@pytest.fixture
def export(tmp_path: Path, server_url: str, template: str) -> Callable[[str], Export]:
    def make(name: str) -> Export:
        database = f"exports_{next(numbers)}"
        with psycopg.connect(server_url, autocommit=True) as conn:
            conn.execute(f"create database {database} template {template}")
        return Export(tmp_path, Warehouse(f"{server_url.rsplit('/', 1)[0]}/{database}"), name)

    return make


def as_workbook(rows: Rows, merged: Sequence[str] = (), hidden: Sequence[int] = ()) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    for cells in merged:
        sheet.merge_cells(cells)
    for number in hidden:
        sheet.row_dimensions[number].hidden = True
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


def as_csv(rows: Rows) -> bytes:
    """As Excel saves it in Russia: cp1251, semicolons, decimal commas, dd.mm.yyyy."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    for row in rows:
        writer.writerow([_shown(value) for value in row])
    return text.getvalue().encode("cp1251")


def _shown(value: Any) -> str:
    if isinstance(value, date):
        return value.strftime("%d.%m.%Y")
    return "" if value is None else str(value).replace(".", ",") if isinstance(value, float) else str(value)


# --- the files that come along ---


@pytest.mark.parametrize("name", EXPORTS)
def test_a_ready_mapping_is_valid_beside_a_company_s_accounting(tmp_path: Path, name: str) -> None:
    ready, books = MAPPINGS / "exports" / f"{name}.yaml", MAPPINGS / "demo" / "onec.yaml"
    folder = write_folder(tmp_path / "m", **{name: ready.read_text(), "onec": books.read_text()})
    (folder / "books.yaml").unlink()
    system = load(folder, ENVIRON).system(name)
    connect(name, system.connection)
    assert system.file.notes


def test_no_ready_mapping_is_left_untried() -> None:
    assert sorted(path.stem for path in (MAPPINGS / "exports").glob("*")) == sorted(EXPORTS)


@pytest.mark.parametrize(
    ("option", "line", "says"),
    [
        ("header_rows: two", 12, "`header_rows` is a whole number from 1 to 4, not 'two'. Correct it"),
        ("heder_rows: 2", 12, "`heder_rows` is an option that nobody knows. Did you mean `header_rows`"),
        ("dates: [Дата, Дата]", 12, "`dates` names a column twice. Remove one"),
        ("date_order: dmy", 12, "`date_order` is auto or day_first or month_first, not 'dmy'. Correct it"),
        ("date_order: day_first", 12, "`date_order` has no `dates`. Name the columns that hold dates"),
        ("hidden_rows: skip", 12, "`hidden_rows` is read or leave_out, not 'skip'. Correct it"),
        ("hidden_columns: false", 12, "`hidden_columns` is read or leave_out, not False. Correct it"),
        ("separator: ';;'", 12, "`separator` is one character or `tab`, not ';;'. Correct it"),
        ("blanks_continue: true", 12, "`blanks_continue` has no `merged_down`. Name the columns"),
        ("control_difference: -1", 12, "`control_difference` is an amount from 0, not -1. Correct it"),
        ("control_totals: {a: b}", 12, "`control_totals` is a name or a list of names"),
        ("errors_empty: [ID]", 12, "`errors_empty` names ID, by which rows are told apart. Leave it out"),
        ("merged_down: [A, '']", 12, "`merged_down` names an empty column. Remove it"),
        ("group_column: [a]", 12, "`group_column` is one name, not ['a']. Correct it"),
        ("header_row: 0", 12, "`header_row` is a whole number from 1"),
        ("settle_seconds: soon", 12, "`settle_seconds` is seconds up to a day, not 'soon'. Correct it"),
        ("codes: [A]\n      dates: [A]", 13, "`dates` names A, which `codes` names too. Leave it in one"),
        ("skip_totals: false\n      total_words: [A]", 13, "`total_words` is set while `skip_totals` is false. Drop"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_told_with_file_line_and_remedy(
    tmp_path: Path, option: str, line: int, says: str
) -> None:
    text = (
        "system: shop\nconnector: files\nrole: crm\ntitle: Shop\nconnection:\n  folder: /in\n  tables:\n    deal:\n"
        f"      pattern: '*.xlsx'\n      key: [ID]\n      mode: append\n      {option}\n"
    )
    with pytest.raises(MappingError) as caught:
        load(write_folder(tmp_path / "m", shop=text), {})
    assert f"shop.yaml:{line}: " in str(caught.value)
    assert says in str(caught.value)


def test_a_wrong_option_of_each_table_is_told_at_once(tmp_path: Path) -> None:
    text = (
        "system: shop\nconnector: files\nrole: crm\ntitle: Shop\nconnection:\n  folder: /in\n  tables:\n"
        "    deal: {pattern: a, key: b, mode: x}\n    client: {key: b}\n"
    )
    with pytest.raises(MappingError) as caught:
        load(write_folder(tmp_path / "m", shop=text), {})
    assert "shop.yaml:8: `mode` is snapshot or append" in str(caught.value)
    assert "shop.yaml:9: `client` names no `pattern` and `key`" in str(caught.value)


@pytest.mark.parametrize(
    "rule", ["{from: a, unlisted: keep}", "{from: a, map: {b: c}, otherwise: d, unlisted: keep}"]
)
def test_what_becomes_of_unlisted_values_is_said_beside_a_list_alone(tmp_path: Path, rule: str) -> None:
    head = "system: shop\nconnector: files\nrole: crm\ntitle: Shop\n"
    text = f"{head}read:\n  core.client_record:\n    from: c\n    fields:\n      city: {rule}\n"
    with pytest.raises(MappingError, match=r"shop\.yaml:9: .*`unlisted` says what becomes of values"):
        load(write_folder(tmp_path / "m", shop=text), {})


# --- a client list ---

CLIENTS: Rows = [
    ["Клиенты отдела продаж", None, None, None, None, None, None, None],
    ["Клиент", "ИНН", "КПП", "Контакты", None, None, "Город", "Ответственный"],
    [None, None, None, "Лицо", "Телефон", "E-mail", None, None],
    ["ООО «Ромашка»", 7707083893, "'773601001", "иванова анна", "8 (495) 123-45-67", "INFO@romashka.ru", "мск", "Иванов И."],
    ["Ёлка, АО", "7736050003.0", 772801001, None, "4951234568", None, "Питер", "Иванов И."],
    ["ИП Петров", "7,70123E+09", None, None, None, None, "г. Москва", "Сидорова А."],
    ["Берёза ООО", "0274051582", None, "Ким О.", "#Н/Д", None, "Тверь", "Сидорова А."],
    ["Скрытый ООО", "5024002119", "502401001", None, None, None, "\u00a0СПб ", "Сидорова А."],
    ["Итого клиентов", 5, None, None, None, None, None, None],
]  # fmt: skip
CLIENT_MERGES = ["A1:H1", "A2:A3", "B2:B3", "C2:C3", "D2:F2", "G2:G3", "H2:H3"]
EXPECTED_CLIENTS = {
    "ООО «Ромашка»": ("Москва", "+74951234567", "info@romashka.ru"),
    "Ёлка, АО": ("Санкт-Петербург", "+74951234568", None),
    "Скрытый ООО": ("Санкт-Петербург", None, None),
}


@pytest.mark.parametrize(
    ("name", "content", "unit"),
    [
        ("Клиенты.xlsx", as_workbook(CLIENTS, CLIENT_MERGES, hidden=[8]), "row"),
        ("Клиенты.csv", as_csv([[c.replace(chr(0xA0), " ") if isinstance(c, str) else c for c in r] for r in CLIENTS]), "line"),
    ],
    ids=["xlsx", "csv"],
)  # fmt: skip
def test_a_dirty_client_list_becomes_clients_contacts_and_requisites(
    export: Callable[[str], Export], name: str, content: bytes, unit: str
) -> None:
    place = export("spreadsheet")
    place.drop(name, content)
    batch = place.read()
    assert (batch.error, batch.added, batch.rejected) == ("", 3, 2)
    assert place.table("core.client_record", "city", "phone", "email") == EXPECTED_CLIENTS
    assert place.table("core.contact", "full_name", "client_record_id") == {
        "ООО «Ромашка»": ("Иванова Анна", "spreadsheet:ООО «Ромашка»")
    }
    assert place.table("core.requisite", "tax_number", "kpp", "tax_number_problem") == {
        "7707083893/773601001": ("7707083893", "773601001", None),
        "7736050003/772801001": ("7736050003", "772801001", None),
        "5024002119/502401001": ("5024002119", "502401001", None),
    }
    apart = place.apart()
    assert [where for where, _, _ in apart] == [f"{name}, {unit} 6", f"{name}, {unit} 7"]
    assert "only 6 of its 10 digits are left" in apart[0][2]
    assert "holds #Н/Д, a formula that failed" in apart[1][2]


def test_a_city_that_the_list_lacks_stays_as_it_is_written(export: Callable[[str], Export]) -> None:
    place = export("spreadsheet")
    cities = ["Москва", "МСК", "г.Москва", "Мск.", "санкт-петербург", "Питер", "Тверь", None]
    rows = [
        *CLIENTS[1:3],
        *([f"Клиент {n}", None, None, None, None, None, c, None] for n, c in enumerate(cities)),
    ]
    place.drop("Клиенты.csv", as_csv(rows))
    place.read()
    found = place.table("core.client_record", "city", "problems")
    assert [found[f"Клиент {n}"][0] for n in range(len(cities))] == [
        "Москва", "Москва", "Москва", "Москва", "Санкт-Петербург", "Санкт-Петербург", "Тверь", None,
    ]  # fmt: skip
    assert all(problems == [] for _, problems in found.values())


# --- a deal list ---

DEAL_HEAD = ["№ сделки", "Дата", "Клиент", "ИНН", "КПП", "Менеджер", "Стадия", "Дата закрытия", "Товар", "Ед.",
             "Кол-во", "Цена", "Ставка НДС", "Сумма", None, None]  # fmt: skip


def deal_rows(last_date: Any) -> Rows:
    romashka = ["ООО «Ромашка»", 7707083893, "773601001", "Иванов И."]
    yolka = ["АО Ёлка", "7736050003", None, "Сидорова А."]
    nothing: list[Any] = [None] * 8
    return [
        ["Сделки за I квартал"],
        ["выгружено 10.03.2026"],
        [],
        DEAL_HEAD,
        ["Д-1", sheet_time(2026, 3, 5), *romashka, "Закрыта", "12 мар 2026", "Стол", "шт", 2, "1\u00a0500,50", "20%", 3001.0],
        [*nothing, "Стул", "шт", "4", "100", 0.2, "400,00"],
        [*nothing, "Сборка", None, 1, 99.5, "Без НДС", 99.5],
        ["Д-2", "05.03.26", *yolka, "Новая", None, "Шкаф", "шт", 1, 500, "20%", 500],
        ["Итого за март", None, None, None, None, None, None, None, None, None, None, None, None, 4000.5],
        ["Д-3", "2026-03-06", *yolka, "Отгружено", last_date, "Стол", "шт", 1, "1 500,50", "20%", "1500,50"],
        ["Д-4", "06.03.2026", *yolka, "Отгружено", "07.03.2026", "Лампа", "шт", 1, "#ССЫЛКА!", "20%", 7],
        [*nothing, "Плафон", "шт", 1, 3, "20%", 3],
        ["Д-5", "06.03.2026", *romashka, "Счёт выставлен", None, "Полка", "шт", 2, 10, "10%", 20],
        ["Всего:", None, None, None, None, None, None, None, None, None, None, None, None, 5531.0],
    ]  # fmt: skip


DEAL_MERGES = ["A1:N1", *(f"{c}5:{c}7" for c in "ABCDEFGH"), *(f"{c}11:{c}12" for c in "ABCDEFGH")]
DEALS = {
    "Д-1": ("Закрыта", date(2026, 3, 12), "deal_list:ООО «Ромашка»", datetime(2026, 3, 4, 21, tzinfo=UTC)),
    "Д-2": ("Новая", None, "deal_list:АО Ёлка", datetime(2026, 3, 4, 21, tzinfo=UTC)),
    "Д-5": ("Счёт выставлен", None, "deal_list:ООО «Ромашка»", datetime(2026, 3, 5, 21, tzinfo=UTC)),
}
PART_OF_D4 = ("Отгружено", date(2026, 3, 7), "deal_list:АО Ёлка", datetime(2026, 3, 5, 21, tzinfo=UTC))
LINES = {
    "Д-1|Стол": (Decimal("2.0000"), Decimal("1500.5000"), Decimal("20.00"), Decimal("3001.00")),
    "Д-1|Стул": (Decimal("4.0000"), Decimal("100.0000"), Decimal("20.00"), Decimal("400.00")),
    "Д-1|Сборка": (Decimal("1.0000"), Decimal("99.5000"), None, Decimal("99.50")),
    "Д-2|Шкаф": (Decimal("1.0000"), Decimal("500.0000"), Decimal("20.00"), Decimal("500.00")),
    "Д-4|Плафон": (Decimal("1.0000"), Decimal("3.0000"), Decimal("20.00"), Decimal("3.00")),
    "Д-5|Полка": (Decimal("2.0000"), Decimal("10.0000"), Decimal("10.00"), Decimal("20.00")),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_a_dirty_deal_list_becomes_deals_and_lines_and_what_is_set_apart_holds_its_own_deal_only(
    export: Callable[[str], Export], kind: str
) -> None:
    place = export("deal_list")
    rows = deal_rows("03/07/2026")
    place.drop(f"Сделки.{kind}", as_workbook(rows, DEAL_MERGES) if kind == "xlsx" else as_csv(rows))
    batch = place.read()
    assert (batch.error, batch.added, batch.rejected) == ("", 6, 2)
    deals = place.table("core.deal", "stage_code", "closed_on", "client_record_id", "created_at", "problems")
    assert {key: row[:4] for key, row in deals.items()} == {**DEALS, "Д-4": PART_OF_D4}
    assert all(row[4] == [] for row in deals.values())
    assert place.table("core.deal_line", "quantity", "price", "vat_rate", "amount") == LINES
    assert place.table("core.deal_requisite", "requisite_id")["Д-1"] == ("deal_list:7707083893/773601001",)
    unit = "row" if kind == "xlsx" else "line"
    apart = place.apart()
    assert [(where, deal) for where, deal, _ in apart] == [
        (f"Сделки.{kind}, {unit} 10", "Д-3"),
        (f"Сделки.{kind}, {unit} 11", "Д-4"),
    ]
    assert 'holds "03/07/2026", which is day 3 of month 7, or day 7 of month 3' in apart[0][2]
    assert "holds #ССЫЛКА!, a formula that failed" in apart[1][2]


def test_a_mended_list_lets_go_what_was_set_apart(export: Callable[[str], Export]) -> None:
    place = export("deal_list")
    place.drop("Сделки.xlsx", as_workbook(deal_rows("03/07/2026"), DEAL_MERGES))
    place.read()
    mended = [[1.0 if c == "#ССЫЛКА!" else c for c in row] for row in deal_rows("07.03.2026")]
    place.drop("Сделки.xlsx", as_workbook(mended, DEAL_MERGES))
    batch = place.read()
    assert (batch.error, batch.rejected) == ("", 0)
    assert place.apart() == []
    assert place.table("core.deal", "closed_on")["Д-3"] == (date(2026, 3, 7),)
    assert len(place.table("core.deal_line", "amount")) == 8


def test_a_list_whose_total_disagrees_changes_nothing(export: Callable[[str], Export]) -> None:
    place = export("deal_list")
    place.drop("Сделки.xlsx", as_workbook(deal_rows("07.03.2026"), DEAL_MERGES))
    place.read()
    before = place.table("core.deal_line", "amount")
    shorter = [row for row in deal_rows("07.03.2026") if "Полка" not in row]
    place.drop("Сделки.xlsx", as_workbook(shorter, DEAL_MERGES))
    batch = place.read()
    assert 'row 13 ("Всего:") says 5 531.00 of "Сумма" while the rows add up to 5 511.00' in batch.error
    assert batch.quiet
    assert place.table("core.deal_line", "amount") == before


def test_a_client_list_and_a_deal_list_in_one_file_share_their_clients(
    export: Callable[[str], Export],
) -> None:
    place = export("deal_list")
    texts = {n: yaml.safe_load((MAPPINGS / "exports" / f"{n}.yaml").read_text()) for n in EXPORTS}
    both, clients = texts["deal_list"], texts["spreadsheet"]
    both["connection"]["tables"] |= clients["connection"]["tables"]
    both["read"] |= clients["read"]
    (place.system.path).write_text(yaml.safe_dump(both, allow_unicode=True, sort_keys=False))
    environ = {**ENVIRON, "SVERKA_DROP_FOLDER": str(place.drops)}
    place.system = load(place.system.path.parent, environ).system("deal_list")
    place.drop("Клиенты.xlsx", as_workbook(CLIENTS, CLIENT_MERGES))
    place.drop("Сделки.xlsx", as_workbook(deal_rows("07.03.2026"), DEAL_MERGES))
    assert place.read().error == ""
    assert place.table("core.client_record", "city")["ООО «Ромашка»"] == ("Москва",)
    assert place.table("core.deal", "client_record_id")["Д-1"] == ("deal_list:ООО «Ромашка»",)
    assert "7707083893/773601001" in place.table("core.requisite", "tax_number")


# --- a report of 1C:CRM ---

HARD = "\u00a0"
ONEC: Rows = [
    ["Сделки", *[None] * 13],
    ["Период: 01.03.2026 - 31.03.2026", *[None] * 13],
    ["Номер", "Дата", "Контрагент", None, None, "Состояние", "Согласована", "Номенклатура", "Ед.", "Количество", "Цена",
     "Сумма", None, "Ставка НДС"],
    [None, None, "Наименование", "ИНН", "КПП", None, None, None, None, None, None, "Всего", "НДС", None],
    ["Иванов Иван", *[None] * 10, f"3{HARD}500,00", "583,33", None],
    ["0000-000001", "05.03.2026 9:15:00", "Ромашка ООО", "7707083893", "773601001", "Закрыта успешно", "Да", "Стол", "шт",
     "2,000", f"1{HARD}500,00", f"3{HARD}000,00", "500,00", "20%"],
    ["0000-000001", "05.03.2026 9:15:00", "Ромашка ООО", "7707083893", "773601001", "Закрыта успешно", "Да", "Доставка",
     None, "1,000", "500,00", "500,00", "83,33", "20%"],
    ["Петрова Анна", *[None] * 10, f"1{HARD}200,50", None, None],
    ["0000-000002", "06.03.2026 18:00:01", "Ёлка АО", "7736050003", "772801001", "Счет выставлен", "Нет", "Шкаф", "шт",
     "1,000", "200,50", "200,50", None, "Без НДС"],
    ["0000-000003", "07.03.2026 0:00:00", "Ёлка АО", "7736050003", "772801001", "В работе", "Да", "Шкаф", "шт", "5,000",
     "200,00", f"1{HARD}000,00", None, "Без НДС"],
    ["Итого", *[None] * 10, f"4{HARD}700,50", "583,33", None],
]  # fmt: skip
ONEC_MERGES = ["A1:N1", "C3:E3", "L3:M3", "A5:K5", "A8:K8", *(f"{c}3:{c}4" for c in "ABFGHIJKN")]


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_a_report_of_1c_becomes_deals_under_their_managers(
    export: Callable[[str], Export], kind: str
) -> None:
    place = export("onec_crm")
    place.drop(f"1С CRM март.{kind}", as_workbook(ONEC, ONEC_MERGES) if kind == "xlsx" else as_csv(ONEC))
    batch = place.read()
    assert (batch.error, batch.added, batch.rejected) == ("", 4, 0)
    assert place.table("core.deal", "employee_id", "stage_code", "created_at", "closed_on") == {
        "0000-000001": ("onec_crm:Иванов Иван", "Закрыта успешно", datetime(2026, 3, 5, 6, 15, tzinfo=UTC), date(2026, 3, 5)),
        "0000-000003": ("onec_crm:Петрова Анна", "В работе", datetime(2026, 3, 6, 21, tzinfo=UTC), date(2026, 3, 7)),
    }  # fmt: skip
    lines = place.table("core.deal_line", "quantity", "price", "amount", "vat_rate", "problems")
    assert lines["0000-000001|Стол"] == (Decimal(2), Decimal(1500), Decimal(3000), Decimal(20), [])
    assert sum(row[2] for row in lines.values()) == Decimal("4700.50")
    assert place.table("core.employee", "full_name") == {
        "Иванов Иван": ("Иванов Иван",), "Петрова Анна": ("Петрова Анна",),
    }  # fmt: skip
    finding = place.source().check()[1]
    assert finding.ok
    assert "2 headings of groups" in finding.message


def test_a_report_of_1c_whose_group_disagrees_is_set_apart(export: Callable[[str], Export]) -> None:
    place = export("onec_crm")
    rows = [[f"1{HARD}201,50" if c == f"1{HARD}200,50" else c for c in row] for row in ONEC]
    place.drop("1С CRM.xlsx", as_workbook(rows, ONEC_MERGES))
    error = place.read().error
    assert (
        'row 8 ("Петрова Анна") says 1 201.50 of "Сумма / Всего" while the rows add up to 1 200.50' in error
    )
    with pytest.raises(SourceError):
        list(place.source().read(["sale"], None, NOON))
