"""CommerceML 2: orders, invoices, counterparties and products as documents, and the base's answers to them.

One record is one file, named by its kind and key. There are no numbers of messages: <Ид> alone decides, so a record
written twice is one document on the other side, and an answer confirms a record by bearing its <Ид>.
Order of elements: the schema urn:1C.ru:commerceml_205, which later versions only add to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from resources.accounting.onec_files.enterprise_data import POSTED, ForeignMessage, Told
from resources.accounting.onec_files.xml import Node, flat, ordered, render, tree

SPACES: Final = {f"2.{n:02}": f"urn:1C.ru:commerceml_2{'' if n < 5 else f'{n:02}'}" for n in range(2, 11)}
"""Namespace by version: bases write `urn:1C.ru:commerceml_2`, `..._205` or `..._210`; readers mind the names only."""

TABLES: Final[Mapping[str, str]] = {
    "Товары": "Товар",
    "ЗначенияРеквизитов": "ЗначениеРеквизита",
    "СтавкиНалогов": "СтавкаНалога",
    "Налоги": "Налог",
}

_REQUISITES = ("ЗначенияРеквизитов", (("ЗначениеРеквизита", ("Наименование", "Значение")),))
_TAXES = ("Налоги", (("Налог", ("Наименование", "УчтеноВСумме", "Сумма", "Ставка")),))
_RATES = ("СтавкиНалогов", (("СтавкаНалога", ("Наименование", "Ставка")),))
_PARTY = (
    "Ид",
    "Наименование",
    "ОфициальноеНаименование",
    "ИНН",
    "КПП",
    "ПолноеНаименование",
    "Комментарий",
    "Роль",
)
_ROW = (
    "Ид", "Артикул", "Наименование", "БазоваяЕдиница", "Описание", _RATES, _REQUISITES, "ЦенаЗаЕдиницу", "Количество", "Сумма",
    "Единица", "Коэффициент", _TAXES,
)  # fmt: skip
_DOCUMENT = (
    "Ид", "Номер", "Дата", "ХозОперация", "Роль", "Валюта", "Курс", "Сумма", ("Контрагенты", (("Контрагент", _PARTY),)),
    "Время", "СрокПлатежа", "Комментарий", _TAXES, ("Товары", (("Товар", _ROW),)), _REQUISITES,
)  # fmt: skip
_PRODUCT = ("Ид", "Артикул", "Наименование", "БазоваяЕдиница", "Описание", _RATES, _REQUISITES)


@dataclass(frozen=True, slots=True)
class Form:
    """How a kind stands in a file: under which elements, in which order, and what it must have."""

    around: tuple[str, ...]
    name: str
    order: tuple[Any, ...]
    required: tuple[str, ...]
    operation: str = ""  # its ХозОперация


_NEEDED = (
    "Дата",
    "Валюта",
    "Курс",
    "Сумма",
    "Контрагенты/Контрагент/Ид",
    "Контрагенты/Контрагент/Наименование",
)
FORMS: Final[Mapping[str, Form]] = {
    "counterparty": Form(("Контрагенты",), "Контрагент", _PARTY, ("Наименование",)),
    "product": Form(("Каталог", "Товары"), "Товар", _PRODUCT, ("Наименование",)),
    "order": Form((), "Документ", _DOCUMENT, _NEEDED, "Заказ товара"),
    "invoice": Form((), "Документ", _DOCUMENT, _NEEDED, "Счет на оплату"),
    "realization": Form((), "Документ", _DOCUMENT, _NEEDED, "Отпуск товара"),
}
WRITES: Final = ("counterparty", "product", "order", "invoice")
_BY_OPERATION: Final = {form.operation.lower(): entity for entity, form in FORMS.items() if form.operation}


def document(kind: str, key: str, body: Mapping[str, Any], version: str, created: str) -> bytes:
    """The file of one record. `created`: its ДатаФормирования, local time. Raises ValueError in words."""
    form, space = FORMS[kind], SPACES[version]
    fixed = {"ХозОперация": form.operation, "Роль": "Продавец", "Номер": key} if form.operation else {}
    record = tree(form.name, {**fixed, "Ид": key, **body}, space, TABLES)
    ordered(record, form.order)
    missing = [path for path in form.required if not record.value(*path.split("/"))]
    if missing:
        raise ValueError(f"{form.name} needs {', '.join(missing)}")
    for name in reversed(form.around):
        children = [record]
        if name == "Каталог":
            leaf = Node("Ид", space, text="sverka")
            children = [leaf, Node("Наименование", space, text="Номенклатура"), record]
        record = Node(name, space, children=children)
    root = Node(
        "КоммерческаяИнформация", space, {"ВерсияСхемы": version, "ДатаФормирования": created}, "", [record]
    )
    return render(root, {})


def read(root: Node) -> Iterator[Told]:
    """Every counterparty, product and document of a file. Raises ForeignMessage where it is no CommerceML."""
    if root.name != "КоммерческаяИнформация":
        raise ForeignMessage(f"it begins with {root.name} and is no CommerceML")
    for node in root.children:
        if node.name == "Документ":
            yield from _document(node)
        elif node.name == "Контейнер":  # 3.1 puts documents into it
            yield from (
                told for child in node.children if child.name == "Документ" for told in _document(child)
            )
        elif node.name == "Контрагенты":
            yield from (_record("counterparty", child) for child in node.children)
        elif node.name == "Каталог":
            products = node.child("Товары")
            yield from (_record("product", child) for child in (products.children if products else ()))


def _document(node: Node) -> Iterator[Told]:
    entity = _BY_OPERATION.get(node.value("ХозОперация").lower())
    if entity is not None:
        yield _record(entity, node)


def _record(entity: str, node: Node) -> Told:
    body = flat(node, TABLES)
    said = {row.get("Наименование"): row.get("Значение") for row in body.get("ЗначенияРеквизитов", ())}
    if said.get(POSTED) in ("true", "false"):
        body[POSTED] = said[POSTED]
    deleted = "true" in (said.get("ПометкаУдаления"), body.get("ПометкаУдаления"))
    # A product's Ид may bear that of its characteristic after a "#": that is one of its kinds, not itself.
    return Told(entity, str(body.get("Ид", "")).lower(), body, deleted)
