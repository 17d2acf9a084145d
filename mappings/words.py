"""The words of the mapping document, in English and Russian."""

from __future__ import annotations

from resources.language import Language

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Mapping of CRM to accounting", "Соответствие данных CRM и бухгалтерии"),
    "intro": (
        (
            "What of each CRM field reaches accounting, where it stands there, and by which rule. "
            "It is made from the mapping files and holds for exactly these files: fingerprint"
        ),
        (
            "Какие данные CRM попадают в бухгалтерию, куда и по какому правилу. Документ составлен по файлам "
            "соответствия и действует именно для них: отпечаток"
        ),
    ),
    "crm_field": ("CRM field", "Поле CRM"),
    "source_field": ("Field of accounting", "Поле бухгалтерии"),
    "our_field": ("Our field", "Наше поле"),
    "accounting_field": ("Accounting field", "Поле в бухгалтерии"),
    "rule": ("Rule", "Правило"),
    "what": ("What it is", "Что это"),
    "system_crm": ("CRM", "CRM"),
    "system_accounting": ("Accounting", "Бухгалтерия"),
    "owner": ("Owner", "Ответственный"),
    "file": ("File", "Файл"),
    "notes": ("To be known", "Что нужно знать"),
    "stages": ("Stages and documents", "Стадии и документы"),
    "stages_intro": (
        (
            "The first line that fits a deal decides. Days are compared with the day the deal was closed, "
            "or created while it is open. A stage that no line fits is held and reported."
        ),
        (
            "Действует первая подходящая строка. Дата сравнивается с датой закрытия сделки, "
            "а пока она открыта, с датой создания. "
            "Сделка на стадии, для которой нет строки, удерживается с сообщением."
        ),
    ),
    "pipeline": ("Pipeline", "Воронка"),
    "stage": ("Stage", "Стадия"),
    "documents": ("Documents", "Документы"),
    "due": ("Paid within", "Срок оплаты"),
    "days": ("days", "дн."),
    "period": ("In force", "Действует"),
    "why": ("Why", "Почему"),
    "any": ("any", "любая"),
    "no_documents": ("none", "нет"),
    "left_out": ("left out", "не загружается"),
    "invoice": ("invoice for payment", "счёт на оплату"),
    "realization": ("realization (act, waybill)", "реализация (акт, накладная)"),
    "open": ("open", "в работе"),
    "won": ("won", "успешна"),
    "lost": ("lost", "проиграна"),
    "always": ("always", "всегда"),
    "since": ("from", "с"),
    "until": ("to", "по"),
    "ignored": ("What is left out, and why", "Что не загружается и почему"),
    "name": ("Name", "Название"),
    "condition": ("When", "Когда"),
    "aliases": ("Product names", "Названия товаров"),
    "in_crm": ("In the CRM", "В CRM"),
    "in_catalogue": ("In the catalogue", "В справочнике"),
    "products_create": (
        "Products that accounting lacks are created there.",
        "Товары, которых нет в бухгалтерии, создаются в ней.",
    ),
    "products_hold": (
        "Products that accounting lacks hold the deal; nothing is created.",
        "Если товара нет в бухгалтерии, сделка удерживается; товары не создаются.",
    ),
    "vat": ("VAT", "НДС"),
    "vat_rate": ("Rate", "Ставка"),
    "vat_value": ("In accounting", "В бухгалтерии"),
    "without_vat": ("without VAT", "без НДС"),
    "currencies": ("Currencies", "Валюты"),
    "currency": ("Currency", "Валюта"),
    "code": ("Code in accounting", "Код в бухгалтерии"),
    "own_currency": ("Accounting is kept in", "Учёт ведётся в валюте"),
    "units": ("Units of measure", "Единицы измерения"),
    "spellings": ("Spellings", "Варианты написания"),
    "written": ("What is written into accounting", "Что записывается в бухгалтерию"),
    "fed_back": ("What is written back to the CRM", "Что возвращается в CRM"),
    "target_field": ("Field written", "Записываемое поле"),
    "value": ("Value", "Значение"),
    "lines_of": ("lines", "строки"),
    "posted": ("posted once it was read back equal", "проводится после сверки записанного"),
    "not_posted": ("written, not posted", "записывается без проведения"),
    "owned": ("Whose a field is once it is written", "Кто решает о поле после записи"),
    "owner_crm": ("the CRM's", "CRM"),
    "owner_accounting": ("accounting's", "учёт"),
    "owner_state": ("the CRM's until it is posted, then accounting's", "до проведения CRM, после него учёт"),
    "undone": ("When accounting takes something back", "Если в учёте что-то отменили"),
    "undone_post": ("it is posted again", "проводится снова"),
    "undone_ask": ("a person is asked", "спрашивается решение"),
    "undone_leave": ("it stays, and is a variance", "остаётся расхождением"),
    "rates_of": ("Settings", "Настройки"),
    "rounding": ("A difference is one of rounding up to", "Расхождение считается округлением до"),
    "vat_terms_included": ("Prices and sums are written with VAT", "Цены и суммы записываются с НДС"),
    "vat_terms_excluded": ("Prices and sums are written without VAT", "Цены и суммы записываются без НДС"),
    "vat_terms_as_sold": (
        "Prices and sums are written with or without VAT, as the deal states them",
        "Цены и суммы записываются с НДС или без него, как в сделке",
    ),
    "vat_rounding_line": ("VAT is rounded to the kopeck by line", "НДС округляется до копейки по строке"),
    "vat_rounding_document": (
        "VAT is rounded to the kopeck by document and rate, and spread over the lines",
        "НДС округляется до копейки по документу и ставке и распределяется по строкам",
    ),
    "price_digits": ("Digits of a price after the point", "Знаков в цене после запятой"),
    "inexact_price_nearest": (
        "Where no such price makes the sum, the nearest one is written beside it",
        "Если такой цены для суммы нет, записывается ближайшая, сумма остаётся",
    ),
    "inexact_price_split": (
        "Where no such price makes the sum, the line is split in two that are exact",
        "Если такой цены для суммы нет, строка делится на две точные",
    ),
    "rate_holds_days": (
        "Days for which an exchange rate holds; after them deals in that currency are held",
        "Сколько дней действует курс валюты; позже сделки в этой валюте удерживаются",
    ),
    "approval_auto": (
        "What is planned is written without anybody's approval",
        "Записывается без утверждения человеком",
    ),
    "approval_manual": ("Everything waits for a person's approval", "Всё ждёт утверждения человеком"),
    "approval_up_to": (
        "Documents are written without approval up to, larger ones wait for a person:",
        "Без утверждения записываются документы до, большие ждут человека:",
    ),
    "organization": ("Our legal entity in accounting", "Наша организация в учёте"),
    "number": ("tax number", "ИНН"),
    "default_contract": ("Name of a contract that is created", "Название создаваемого договора"),
    "default_unit": ("Unit of a product that has none", "Единица товара, у которого её нет"),
    "settlement_accounts": (
        "Accounts on which debts and advances of buyers stand",
        "Счета долгов и авансов покупателей",
    ),
    "cost_accounts": ("Accounts of the cost of sales", "Счета себестоимости продаж"),
    "gate": (
        "A load is stopped where more than {share} % of at least {least} deals of a CRM would newly be held",
        "Загрузка останавливается, если из сделок одной CRM (не менее {least}) впервые удерживается более {share} %",
    ),
    "expects": ("Made by accounting itself, and expected", "Создаёт сам учёт, мы ждём"),
    "without": ("Not written, since accounting has none", "Не записывается, в учёте такого нет"),
    "policy": (
        "When the deal changes after the document is in accounting",
        "Если сделка изменилась, когда документ уже в учёте",
    ),
    "policy_none": (
        "When the deal changes after: a draft is updated, of everything else a person is asked.",
        "Если сделка изменилась после: непроведённый документ изменяется, об остальном спрашивается решение.",
    ),
    "state": ("the document is", "документ"),
    "changed": ("what changed in the deal", "что изменилось в сделке"),
    "follows": ("what is done", "что делается"),
    "state_draft": ("not posted", "не проведён"),
    "state_posted": ("posted", "проведён"),
    "state_paid": ("posted and paid", "проведён и оплачен"),
    "state_closed": ("in a closed period", "в закрытом периоде"),
    "policy_update": (
        "it is changed, a posted one is unposted and posted again",
        "изменяется, проведённый перепроводится",
    ),
    "policy_correction": ("it stays, a correction follows", "остаётся, следует корректировка"),
    "policy_reversal": ("a return takes it back, a new one follows", "отменяется возвратом, следует новый"),
    "policy_ask": ("a person is asked", "спрашивается решение"),
    "policy_leave": ("it stays, and is a variance", "остаётся расхождением"),
    "amounts": ("Amounts", "Суммы"),
    "amounts_held": (
        "A deal whose amount is not the sum of its lines is held.",
        "Сделка, сумма которой не равна сумме строк, удерживается.",
    ),
    "amounts_discount": (
        "An amount below the sum of the lines is a discount of the whole deal, spread over its lines; at most, percent",
        "Сумма меньше суммы строк — скидка на всю сделку, она распределяется по строкам; не более, процентов",
    ),
    "amounts_rounding": (
        "A difference is one of rounding, and spread likewise, up to",
        "Расхождение считается округлением и распределяется так же, до",
    ),
    "prices": ("Prices that have to agree", "Какие цены должны совпадать"),
    "price_list": ("Price list of the CRM", "Прайс-лист CRM"),
    "price_type": ("Price type of accounting", "Вид цены в учёте"),
    "base_price": ("the base one", "основная"),
    "adds_vat": (
        "accounting's price is compared with VAT added",
        "к цене в учёте для сравнения прибавляется НДС",
    ),
    "clients": ("Clients", "Клиенты"),
    "trust": (
        (
            "Where records of several systems are one client, the value that is trusted more wins, then the one "
            "changed last; trust in the values of this system"
        ),
        (
            "Если записи нескольких систем — один клиент, берётся значение с большим доверием, затем изменённое "
            "последним; доверие к значениям этой системы"
        ),
    ),
    "complete": (
        "Where trust is equal, a value of this system that says the same and more wins over a fresher one, of",
        "При равном доверии значение этой системы, в котором сказано то же и больше, важнее более свежего, поля",
    ),
    "demanded": ("Tax numbers (INN) are demanded for", "ИНН обязателен для контрагентов из"),
    "constant": ("always", "всегда"),
    "first_of": ("first that is filled", "первое заполненное"),
    "cleaned": ("cleaned as", "приводится к виду:"),
    "reference": ("is found in", "ищется в"),
    "means_empty": ("counts as empty", "считается пустым"),
    "translated": ("read as", "читается как"),
    "otherwise": ("else", "иначе"),
    "unlisted": ("else as given", "иначе как записано"),
    "required": ("must be filled", "обязательно"),
    "computed": ("computed", "вычисляется"),
    "of_parent": ("of the record it belongs to", "из записи-владельца"),
    "account": ("account", "счёт учёта"),
    "warehouse": ("warehouse", "склад"),
    "rounded": ("rounded half up to the kopeck", "округляется до копейки"),
    "if_empty": ("if empty", "если пусто"),
    "chosen": ("by condition", "по условию"),
    "written_out": ("written out in the file", "перечислено в файле"),
    "filled": ("is filled", "заполнено"),
    "is_empty": ("is empty", "пусто"),
    "equals": ("is", "равно"),
    "not_equals": ("is not", "не равно"),
    "starts_with": ("begins with", "начинается с"),
    "not_starts_with": ("does not begin with", "не начинается с"),
    "contains": ("contains", "содержит"),
    "approved": ("Approved", "Утверждаю"),
    "chief": ("Chief accountant", "Главный бухгалтер"),
    "signature": ("signature, name, date", "подпись, ФИО, дата"),
    "phone": ("phone number", "телефон"),
    "email": ("e-mail address", "адрес эл. почты"),
    "tax_number": ("tax number, checked", "ИНН с проверкой"),
    "kpp": ("KPP, checked", "КПП с проверкой"),
    "ogrn": ("OGRN, checked", "ОГРН с проверкой"),
    "legal_name": ("legal name", "наименование организации"),
    "legal_name_key": ("legal name for comparing", "наименование для сравнения"),
    "person_name": ("person's name", "имя человека"),
    "address": ("address in one line", "адрес одной строкой"),
}

FIELDS: dict[str, tuple[str, str]] = {
    # Fields of written records, as policies and owners name them; and what may be done to a document in accounting.
    "date": ("date", "дата"),
    "due_on": ("due day", "срок оплаты"),
    "counterparty": ("counterparty", "контрагент"),
    "contract": ("contract", "договор"),
    "currency": ("currency", "валюта"),
    "amount": ("sum", "сумма"),
    "lines": ("lines", "строки"),
    "comment": ("comment", "комментарий"),
    "name": ("name", "наименование"),
    "code": ("article", "артикул"),
    "tax_number": ("tax number", "ИНН"),
    "kpp": ("KPP", "КПП"),
    "country": ("country", "страна"),
    "city": ("city", "город"),
    "address": ("address", "адрес"),
    "phone": ("phone", "телефон"),
    "email": ("e-mail", "эл. почта"),
    "employee_id": ("manager", "менеджер"),
    "other": ("other fields", "другие поля"),
    "cancelled": ("the deal calls for it no longer", "сделка больше не требует документа"),
    "*": ("all others", "все прочие"),
    "unposted": ("unposted there", "проведение отменено"),
    "deleted": ("deleted there", "удалён или помечен на удаление"),
    "refunded": ("its money is given back", "оплата возвращена"),
}

TABLES: dict[str, tuple[str, str]] = {
    "core.client_record": ("Client", "Клиент"),
    "core.contact": ("Contact", "Контакт"),
    "core.requisite": ("Legal details", "Реквизиты"),
    "core.product": ("Product", "Товар"),
    "core.employee": ("Manager", "Менеджер"),
    "core.lead_source": ("Lead source", "Источник"),
    "core.price": ("Price of a list", "Цена прайс-листа"),
    "core.campaign": ("Campaign", "Кампания"),
    "core.activity": ("Call, letter, meeting or other deed", "Звонок, письмо, встреча и другие дела"),
    "core.invoice": ("Invoice of the CRM", "Счёт в CRM"),
    "core.stage": ("Stage", "Стадия"),
    "core.deal": ("Deal", "Сделка"),
    "core.deal_line": ("Line of a deal", "Строка сделки"),
    "core.deal_requisite": ("Legal details of a deal", "Реквизиты сделки"),
    "core.currency_rate": ("Exchange rate", "Курс валюты"),
    "core.accounting_organization": ("Our legal entity", "Организация"),
    "core.accounting_currency": ("Currency", "Валюта"),
    "core.accounting_unit": ("Unit", "Единица измерения"),
    "core.accounting_account": ("Account", "Счёт учёта"),
    "core.accounting_warehouse": ("Warehouse", "Склад"),
    "core.accounting_counterparty": ("Counterparty", "Контрагент"),
    "core.accounting_contract": ("Contract", "Договор"),
    "core.accounting_product": ("Product in accounting", "Номенклатура"),
    "core.accounting_price": ("Price in accounting", "Цена в учёте"),
    "core.marketing_spend": ("Cost of marketing", "Затраты на рекламу"),
    "core.property_object": ("Object of property", "Объект недвижимости"),
    "core.payment_schedule": ("Instalment", "Платёж по графику"),
    "ledger.stock": ("Stock", "Остаток товара"),
    "ledger.document": ("Document", "Документ"),
    "ledger.document_line": ("Line of a document", "Строка документа"),
    "ledger.payment": ("Payment", "Платёж"),
    "ledger.payment_line": ("Part of a payment", "Расшифровка платежа"),
    "ledger.entry": ("Entry", "Проводка"),
    "ledger.balance": ("Balance", "Остаток"),
    "counterparty": ("Counterparty", "Контрагент"),
    "contract": ("Contract", "Договор"),
    "product": ("Product", "Номенклатура"),
    "invoice": ("Invoice for payment", "Счёт на оплату"),
    "realization": ("Realization", "Реализация"),
    "order": ("Order", "Заказ"),
    "vat_invoice": ("VAT invoice", "Счёт-фактура"),
    "correction": ("Correction", "Корректировка"),
    "return": ("Return", "Возврат"),
    "deal": ("Deal", "Сделка"),
    "company": ("Company", "Компания"),
    "task": ("Task", "Задача"),
    "duplicate": ("Task about a client that the CRM holds twice", "Задача о дубле клиента в CRM"),
}

CARRIED: dict[str, tuple[tuple[str, str], ...]] = {
    # Our column -> (kind, column of our documents) that it becomes: what joins the two halves of the table.
    "core.requisite.legal_name": (("counterparty", "legal_name"), ("counterparty", "full_name")),
    "core.requisite.tax_number": (("counterparty", "tax_number"),),
    "core.requisite.kpp": (("counterparty", "kpp"),),
    "core.product.name": (("product", "name"),),
    "core.product.code": (("product", "code"),),
    "core.product.unit": (("product", "unit_key"),),
    "core.product.is_service": (("product", "is_service"),),
    "core.deal.closed_on": (("invoice", "document_date"), ("realization", "document_date")),
    "core.deal.created_at": (("invoice", "document_date"),),
    "core.deal.currency": (
        ("contract", "currency_key"),
        ("invoice", "currency_key"),
        ("realization", "currency_key"),
    ),
    "core.deal_requisite.requisite_id": (
        ("invoice", "counterparty_key"),
        ("realization", "counterparty_key"),
    ),
    "core.deal_line.product_id": (("invoice", "product_key"), ("realization", "product_key")),
    "core.deal_line.product_name": (("invoice", "product_name"), ("realization", "product_key")),
    "core.deal_line.quantity": (("invoice", "quantity"), ("realization", "quantity")),
    "core.deal_line.price": (("invoice", "price"), ("realization", "price")),
    "core.deal_line.amount": (("invoice", "amount"), ("realization", "amount")),
    "core.deal_line.list_price": (("invoice", "list_price"), ("realization", "list_price")),
    "core.deal_line.vat_included": (("invoice", "vat_included"), ("realization", "vat_included")),
    "core.deal_line.vat_rate": (("invoice", "vat"), ("realization", "vat")),
}


def word(name: str, language: Language) -> str:
    """A word of the document in its language. Raises KeyError."""
    return WORDS[name][language == "ru"]


def thing(name: str, language: Language) -> str:
    """What people call a table or kind; its own name where no word is known."""
    found = TABLES.get(name)
    return found[language == "ru"] if found else name


def field_word(name: str, language: Language) -> str:
    """What people call a field of a written record; its own name where no word is known."""
    found = FIELDS.get(name)
    return found[language == "ru"] if found else name
