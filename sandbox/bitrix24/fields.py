"""Fields of the portal's objects: the name in crm.item.*, the old name, the kind.

From the vendor's pages object-fields.md, crm-deal-fields.md, crm-company-fields.md, crm-contact-fields.md,
crm-requisite-fields.md, crm-address-list.md, crm-activity-fields.md, crm-item-productrow-fields.md.
"""

from __future__ import annotations

from typing import NamedTuple

DEAL, CONTACT, COMPANY, INVOICE = 2, 3, 4, 31


class Field(NamedTuple):
    name: str
    old: str  # '' where the old methods do not show it
    kind: str
    title: str = ""


def _fields(text: str) -> tuple[Field, ...]:
    rows = (line.split(None, 3) for line in text.splitlines() if line.strip())
    return tuple(Field(r[0], "" if r[1] == "-" else r[1], r[2], r[3] if len(r) > 3 else r[0]) for r in rows)


_COMMON = """
id ID int ID
createdTime DATE_CREATE datetime Когда создан
updatedTime DATE_MODIFY datetime Когда обновлён
createdBy CREATED_BY_ID int Кем создан
updatedBy MODIFY_BY_ID int Кем обновлён
assignedById ASSIGNED_BY_ID int Ответственный
opened OPENED flag Доступен для всех
lastActivityBy LAST_ACTIVITY_BY int Последняя активность
lastActivityTime LAST_ACTIVITY_TIME datetime Последняя активность
originatorId ORIGINATOR_ID str Внешний источник
originId ORIGIN_ID str Идентификатор во внешнем источнике
comments COMMENTS str Комментарий
utmSource UTM_SOURCE str UTM Source
utmMedium UTM_MEDIUM str UTM Medium
utmCampaign UTM_CAMPAIGN str UTM Campaign
"""
DEAL_FIELDS = _fields(
    _COMMON
    + """
title TITLE str Название
typeId TYPE_ID str Тип
categoryId CATEGORY_ID int Воронка
stageId STAGE_ID str Стадия сделки
stageSemanticId STAGE_SEMANTIC_ID str Группа стадии
opportunity OPPORTUNITY float Сумма
isManualOpportunity IS_MANUAL_OPPORTUNITY flag Ручной расчёт суммы
taxValue TAX_VALUE float Ставка налога
currencyId CURRENCY_ID str Валюта
probability PROBABILITY int Вероятность
companyId COMPANY_ID int Компания
contactId CONTACT_ID int Контакт
contactIds - list Контакты
leadId LEAD_ID int Лид
quoteId QUOTE_ID int Коммерческое предложение
begindate BEGINDATE date Дата начала
closedate CLOSEDATE date Дата завершения
closed CLOSED flag Закрыта
isNew IS_NEW flag Новая сделка
isRecurring IS_RECURRING flag Регулярная сделка
isReturnCustomer IS_RETURN_CUSTOMER flag Повторная сделка
sourceId SOURCE_ID str Источник
sourceDescription SOURCE_DESCRIPTION str Дополнительно об источнике
movedBy MOVED_BY_ID int Кто сменил стадию
movedTime MOVED_TIME datetime Дата смены стадии
ufCrmSverkaPaymentStatus UF_CRM_SVERKA_PAYMENT_STATUS str Оплата (бухгалтерия)
ufCrmSverkaShipmentStatus UF_CRM_SVERKA_SHIPMENT_STATUS str Отгрузка (бухгалтерия)
ufCrmSverkaDebt UF_CRM_SVERKA_DEBT float Долг (бухгалтерия)
"""
)
COMPANY_FIELDS = _fields(
    _COMMON
    + """
title TITLE str Название компании
typeId COMPANY_TYPE str Тип компании
industry INDUSTRY str Сфера деятельности
currencyId CURRENCY_ID str Валюта
isMyCompany IS_MY_COMPANY flag Моя компания
hasPhone HAS_PHONE flag Есть телефон
hasEmail HAS_EMAIL flag Есть e-mail
contactIds - list Контакты
originVersion ORIGIN_VERSION str Версия во внешнем источнике
ufCrmSverkaDebt UF_CRM_SVERKA_DEBT float Долг (бухгалтерия)
"""
)
CONTACT_FIELDS = _fields(
    _COMMON
    + """
name NAME str Имя
lastName LAST_NAME str Фамилия
secondName SECOND_NAME str Отчество
post POST str Должность
typeId TYPE_ID str Тип контакта
sourceId SOURCE_ID str Источник
companyId COMPANY_ID int Компания
companyIds - list Компании
hasPhone HAS_PHONE flag Есть телефон
hasEmail HAS_EMAIL flag Есть e-mail
originVersion ORIGIN_VERSION str Версия во внешнем источнике
"""
)
INVOICE_FIELDS = _fields(
    _COMMON
    + """
title TITLE str Тема
accountNumber ACCOUNT_NUMBER str Номер
xmlId XML_ID str Внешний код
categoryId CATEGORY_ID int Воронка
stageId STAGE_ID str Стадия
previousStageId PREVIOUS_STAGE_ID str Предыдущая стадия
opportunity OPPORTUNITY float Сумма
isManualOpportunity IS_MANUAL_OPPORTUNITY flag Ручной расчёт суммы
taxValue TAX_VALUE float Сумма налога
currencyId CURRENCY_ID str Валюта
companyId COMPANY_ID int Компания
contactId CONTACT_ID int Контакт
contactIds - list Контакты
mycompanyId MYCOMPANY_ID int Реквизиты вашей компании
parentId2 PARENT_ID_2 int Сделка
begindate BEGINDATE date Дата выставления
closedate CLOSEDATE date Срок оплаты
sourceId SOURCE_ID str Источник
movedBy MOVED_BY int Кто сменил стадию
movedTime MOVED_TIME datetime Дата смены стадии
"""
)
ITEM_FIELDS: dict[int, tuple[Field, ...]] = {
    DEAL: DEAL_FIELDS,
    CONTACT: CONTACT_FIELDS,
    COMPANY: COMPANY_FIELDS,
    INVOICE: INVOICE_FIELDS,
}
READ_ONLY = frozenset(
    {"id", "createdTime", "updatedTime", "createdBy", "updatedBy", "movedTime", "movedBy", "stageSemanticId"}
)


def kinds_of(fields: tuple[Field, ...]) -> dict[str, str]:
    return {field.name: field.kind for field in fields}


def _kinds(text: str) -> dict[str, str]:
    return {name: kind or "str" for name, _, kind in (part.partition(":") for part in text.split())}


REQUISITE = _kinds(
    "ID:int ENTITY_TYPE_ID:int ENTITY_ID:int PRESET_ID:int DATE_CREATE:datetime DATE_MODIFY:datetime "
    "CREATED_BY_ID:int MODIFY_BY_ID:int NAME CODE XML_ID ORIGINATOR_ID ACTIVE:flag ADDRESS_ONLY:flag "
    "SORT:int RQ_NAME RQ_FIRST_NAME RQ_LAST_NAME RQ_SECOND_NAME RQ_COMPANY_NAME RQ_COMPANY_FULL_NAME "
    "RQ_INN RQ_KPP RQ_OGRN RQ_OGRNIP RQ_OKPO RQ_DIRECTOR RQ_ACCOUNTANT RQ_VAT_ID RQ_BIN RQ_IIN RQ_PHONE "
    "RQ_EMAIL"
)
REQUISITE_LINK = _kinds(
    "ENTITY_TYPE_ID:int ENTITY_ID:int REQUISITE_ID:int BANK_DETAIL_ID:int MC_REQUISITE_ID:int "
    "MC_BANK_DETAIL_ID:int"
)
ADDRESS = _kinds(  # LOC_ADDR_ID is the only number of its own that an address has
    "TYPE_ID:int ENTITY_TYPE_ID:int ENTITY_ID:int ADDRESS_1 ADDRESS_2 CITY POSTAL_CODE REGION PROVINCE COUNTRY "
    "COUNTRY_CODE LOC_ADDR_ID:int ANCHOR_TYPE_ID:int ANCHOR_ID:int"
)
ACTIVITY = _kinds(
    "ID:int OWNER_ID:int OWNER_TYPE_ID:int TYPE_ID:int PROVIDER_ID PROVIDER_TYPE_ID PROVIDER_GROUP_ID ASSOCIATED_ENTITY_ID:int "
    "SUBJECT CREATED:datetime LAST_UPDATED:datetime START_TIME:datetime END_TIME:datetime DEADLINE:datetime COMPLETED:flag "
    "STATUS:int RESPONSIBLE_ID:int PRIORITY:int NOTIFY_TYPE:int NOTIFY_VALUE:int DESCRIPTION DESCRIPTION_TYPE:int "
    "DIRECTION:int LOCATION ORIGINATOR_ID ORIGIN_ID AUTHOR_ID:int EDITOR_ID:int"
)
BANK_DETAIL = _kinds(
    "ID:int ENTITY_TYPE_ID:int ENTITY_ID:int COUNTRY_ID:int DATE_CREATE:datetime DATE_MODIFY:datetime "
    "NAME XML_ID ACTIVE:flag SORT:int RQ_BANK_NAME RQ_BIK RQ_ACC_NUM RQ_COR_ACC_NUM RQ_ACC_CURRENCY "
    "RQ_IBAN RQ_SWIFT"
)
PRESET = _kinds(
    "ID:int ENTITY_TYPE_ID:int COUNTRY_ID:int DATE_CREATE:datetime NAME XML_ID ACTIVE:flag SORT:int"
)
STATUS = _kinds("ID:int ENTITY_ID STATUS_ID NAME SORT:int SYSTEM:flag CATEGORY_ID SEMANTICS")
USER = _kinds("ID:int ACTIVE:flag NAME LAST_NAME SECOND_NAME EMAIL WORK_POSITION USER_TYPE")
CURRENCY = _kinds(
    "CURRENCY AMOUNT_CNT:int AMOUNT:float SORT:int BASE:flag FULL_NAME LID DATE_UPDATE:datetime"
)
PRODUCT = _kinds(
    "id:int iblockId:int iblockSectionId:int name active:flag code xmlId measure:int vatId:int "
    "vatIncluded:flag quantity:float quantityReserved:float type:int dateCreate:datetime "
    "timestampX:datetime"
)
PRICE = _kinds("id:int productId:int catalogGroupId:int price:float currency timestampX:datetime")
PRICE_TYPE = _kinds(
    "id:int name base:flag sort:int xmlId createdBy:int modifiedBy:int dateCreate:datetime timestampX:datetime"
)
VAT = _kinds("id:int name rate:float active:flag sort:int timestampX:datetime")
CATALOG = _kinds("id:int iblockId:int iblockTypeId lid name productIblockId:int skuPropertyId:int vatId:int")
STAGE_HISTORY = _kinds(
    "ID:int TYPE_ID:int OWNER_ID:int CREATED_TIME:datetime CATEGORY_ID:int STAGE_SEMANTIC_ID STAGE_ID"
)
PRODUCT_ROW = _kinds(
    "id:int ownerId:int ownerType productId:int productName price:float priceAccount:float "
    "priceExclusive:float priceNetto:float priceBrutto:float quantity:float discountTypeId:int "
    "discountRate:float discountSum:float taxRate:float taxIncluded:flag customized:flag "
    "measureCode:int measureName sort:int xmlId type:int storeId:int"
)
TASK = _kinds(
    "ID:int TITLE DESCRIPTION DEADLINE:datetime CREATED_BY:int CREATED_DATE:datetime CHANGED_BY:int "
    "CHANGED_DATE:datetime CLOSED_DATE:datetime RESPONSIBLE_ID:int PRIORITY:int STATUS:int "
    "REAL_STATUS:int XML_ID GROUP_ID:int PARENT_ID:int UF_CRM_TASK"
)
