"""Metadata and the organisation: modules, fields, layouts, pipelines with stages, users, currencies."""

from __future__ import annotations

from typing import Any, Final

from sandbox.crm.zoho.fields import Field
from sandbox.crm.zoho.gate import EMPTY, Answer, Call, Portal, Refused
from sandbox.crm.zoho.ids import number_of, source_id, stamp
from sandbox.crm.zoho.lists import module_id, paged
from sandbox.crm.zoho.modules import MODULES, OF_ENTITY, ROW_FIELDS, SUBFORMS, Module
from sandbox.crm.zoho.view import CURRENCIES
from sandbox.desk.records import Item

FORECASTS: Final = {"open": "Pipeline", "won": "Closed", "lost": "Omitted"}
FORECAST_TYPES: Final = {"open": "Open", "won": "Closed Won", "lost": "Closed Lost"}
LAYOUT: Final = "Standard"
ROW_KINDS: Final = {
    "Parent_Id": "lookup", "Product_Name": "lookup", "Sequence_Number": "integer", "Quantity": "double",
    "Description": "textarea", "VAT_Rate": "integer", "VAT_Included": "boolean", "Created_Time": "datetime",
    "Modified_Time": "datetime",
}  # fmt: skip


def modules(portal: Portal, call: Call) -> Answer:
    """GET /settings/modules"""
    return Answer.of({"modules": [_module(one) for one in MODULES.values()]})


def module(portal: Portal, call: Call, name: str) -> Answer:
    """GET /settings/modules/{api_name or id}"""
    for one in MODULES.values():
        if name in (one.name, module_id(one)):
            return Answer.of({"modules": [_module(one)]})
    raise Refused(
        400, "INVALID_MODULE", "the module name given seems to be invalid", {"resource_path_index": 0}
    )


def fields(portal: Portal, call: Call) -> Answer:
    """GET /settings/fields?module="""
    name = call.params.get("module")
    if not name:
        raise Refused(
            400,
            "REQUIRED_PARAM_MISSING",
            "One of the expected parameter is missing",
            {"param_name": "module"},
        )
    if name in SUBFORMS:
        said = [_row_field(name, place, one) for place, one in enumerate(("id", *ROW_FIELDS), start=1)]
        return Answer.of({"fields": said})
    found = portal.module(name)
    return Answer.of({"fields": [_field(portal, found, place, one) for place, one in _placed(found)]})


def field(portal: Portal, call: Call, shown: str) -> Answer:
    """GET /settings/fields/{id or api_name}?module="""
    found = portal.module(call.params.get("module", ""))
    for place, one in _placed(found):
        if shown in (one.name, _field_id(found, place)):
            return Answer.of({"fields": [_field(portal, found, place, one)]})
    return EMPTY


def layouts(portal: Portal, call: Call) -> Answer:
    """GET /settings/layouts?module="""
    found = portal.module(call.params.get("module", ""))
    return Answer.of({"layouts": [{
        "id": layout_id(found), "api_name": LAYOUT, "name": LAYOUT, "display_label": LAYOUT, "status": "active",
        "visible": True, "generated_type": "system_generated", "sections": [],
        "profiles": [{"name": "Administrator", "id": source_id("profile", 1), "default": True}],
    }]})  # fmt: skip


def pipelines(portal: Portal, call: Call) -> Answer:
    """GET /settings/pipeline?layout_id="""
    said = call.params.get("layout_id")
    if not said:
        raise Refused(
            400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param": "layout_id"}
        )
    if said != layout_id(OF_ENTITY["deal"]):
        raise Refused(
            400, "INVALID_DATA", "the layout id given seems to be invalid", {"param_name": "layout_id"}
        )
    return Answer.of({"pipeline": [_pipeline(portal, one) for one in portal.office.desk.living("pipeline")]})


def pipeline(portal: Portal, call: Call, shown: str) -> Answer:
    """GET /settings/pipeline/{id}?layout_id="""
    number = number_of("pipeline", shown)
    found = portal.office.desk.get("pipeline", number) if number is not None else None
    return Answer.of({"pipeline": [_pipeline(portal, found)]}) if found is not None else EMPTY


def users(portal: Portal, call: Call) -> Answer:
    """GET /users?type=AllUsers|ActiveUsers|DeactiveUsers|CurrentUser|AdminUsers"""
    kind = call.params.get("type", "AllUsers")
    found = portal.office.desk.living("employee")
    if kind in ("ActiveUsers", "ActiveConfirmedUsers", "ConfirmedUsers"):
        found = [one for one in found if one.body["active"]]
    elif kind in ("DeactiveUsers", "NotConfirmedUsers", "DeletedUsers"):
        found = [one for one in found if not one.body["active"] and kind == "DeactiveUsers"]
    elif kind in ("CurrentUser", "AdminUsers", "ActiveConfirmedAdmins"):
        found = found[:1]
    elif kind != "AllUsers":
        raise Refused(
            400,
            "PATTERN_NOT_MATCHED",
            "Please check whether the input values are correct",
            {"api_name": "type"},
        )
    return paged(call, "users", [_user(portal, one) for one in found])


def user(portal: Portal, call: Call, shown: str) -> Answer:
    """GET /users/{id}"""
    number = number_of("employee", shown)
    found = portal.office.desk.get("employee", number) if number is not None else None
    return Answer.of({"users": [_user(portal, found)]}) if found is not None else EMPTY


def organisation(portal: Portal, call: Call) -> Answer:
    """GET /org"""
    company = portal.office.desk.company
    return Answer.of({"org": [{
        "id": source_id("organisation", 1), "zgid": source_id("organisation", 1)[-9:], "company_name": company.own.name,
        "alias": None, "primary_email": company.own.email, "phone": company.own.phone, "country": "Russia",
        "country_code": "RU", "city": company.own.city, "street": company.own.address, "time_zone": "Europe/Moscow",
        "currency": "Российский рубль - RUB", "iso_code": "RUB", "currency_symbol": "₽", "currency_locale": "ru_RU",
        "type": "production", "domain_name": portal.office.where, "max_per_page": 200, "oauth_presence": True,
        "mc_status": True, "translation_enabled": False, "deletable_org_account": False,
        "created_time": stamp(portal.office.desk.founded),
        "license_details": {"paid": True, "paid_type": "enterprise", "paid_expiry": None, "trial_type": None,
                            "trial_expiry": None, "trial_action": None,
                            "users_license_purchased": len(portal.office.desk.living("employee"))},
    }]})  # fmt: skip


def currencies(portal: Portal, call: Call) -> Answer:
    """GET /org/currencies; the first is the base."""
    by, at = portal.view.integration, stamp(portal.office.desk.founded)
    return Answer.of({"currencies": [
        {
            "id": source_id("currency", place), "iso_code": code, "name": f"{name} - {code}", "symbol": sign,
            "exchange_rate": rate, "is_base": place == 1, "is_active": True, "prefix_symbol": False,
            "format": {"decimal_separator": "Comma", "thousand_separator": "Space", "decimal_places": "2"},
            "created_time": at, "modified_time": at, "created_by": by, "modified_by": by,
        }
        for place, (code, name, sign, rate) in enumerate(CURRENCIES, start=1)
    ]})  # fmt: skip


def layout_id(found: Module) -> str:
    return source_id("layout", list(MODULES).index(found.name) + 1)


# ---- Inside -------------------------------------------------------------------------------------


def _module(one: Module) -> dict[str, Any]:
    place = list(MODULES).index(one.name) + 1
    profile = {"name": "Administrator", "id": source_id("profile", 1)}
    return {
        "id": source_id("module", place), "api_name": one.name, "module_name": one.name, "singular_label": one.singular,
        "plural_label": one.plural, "generated_type": "default", "api_supported": True, "viewable": True,
        "editable": one.writable, "creatable": one.creatable, "deletable": one.writable, "visible": True,
        "visibility": 1, "status": "visible", "show_as_tab": True, "quick_create": one.creatable,
        "convertable": False, "global_search_supported": True, "recycle_bin_on_delete": True, "presence_sub_menu": True,
        "isBlueprintSupported": False, "triggers_supported": True, "filter_supported": True, "sequence_number": place,
        "profile_count": 1, "profiles": [profile], "parent_module": {}, "arguments": [], "business_card_field_limit": 5,
        "modified_by": None, "modified_time": None, "web_link": None, "activity_badge": "Not_Supported",
    }  # fmt: skip


def _placed(found: Module) -> list[tuple[int, Field]]:
    """The visible fields with their places among all of the module's: an id stays the same for every user."""
    return [(place, found.by_name[one.name]) for place, one in enumerate(MODULES[found.name].fields, start=1)
            if one.name in found.by_name]  # fmt: skip


def _field_id(found: Module, place: int) -> str:
    return source_id("field", (list(MODULES).index(found.name) + 1) * 1000 + place)


def _field(portal: Portal, found: Module, place: int, one: Field) -> dict[str, Any]:
    editable = found.writable and one.key is not None
    lookup: dict[str, Any] = {}
    if one.kind == "lookup" and one.lookup is not None:
        target = OF_ENTITY[one.lookup]
        lookup = {"display_label": target.plural, "api_name": one.name, "id": _field_id(found, place),
                  "module": {"api_name": target.name, "id": module_id(target)}}  # fmt: skip
    subform = (
        {"module": {"api_name": one.name, "id": source_id("module", 90)}} if one.kind == "subform" else None
    )
    return {
        **_described(_field_id(found, place), place, one.name, one.label, one.shown_kind, one.json_type),
        "length": one.longest, "decimal_place": 2 if one.kind == "currency" else None,
        "custom_field": one.custom, "field_read_only": not editable, "read_only": not editable,
        "system_mandatory": one.required, "created_source": "user" if one.custom else "default",
        "unique": {"casesensitive": False} if one.unique else {},
        "lookup": lookup, "subform": subform,
        "associated_module": {"module": one.name, "id": source_id("module", 90)} if subform else None,
        "pick_list_values": _choices(portal, one),
        "operation_type": {"web_update": editable, "api_create": editable and found.creatable,
                           "web_create": editable, "api_update": editable},
        "view_type": {"view": True, "edit": editable, "quick_create": False, "create": editable},
        "sortable": one.name in ("id", "Created_Time", "Modified_Time"),
        "profiles": [{"name": "Administrator", "id": source_id("profile", 1),
                      "permission_type": "read_write" if editable else "read_only"}],
    }  # fmt: skip


def _row_field(name: str, place: int, one: str) -> dict[str, Any]:
    kind = "bigint" if one == "id" else ROW_KINDS.get(one, "currency")
    json_type = {"lookup": "jsonobject", "currency": "double", "double": "double", "integer": "integer",
                 "boolean": "boolean"}.get(kind, "string")  # fmt: skip
    return {
        **_described(source_id("field", 90_000 + place), place, one, one.replace("_", " "), kind, json_type),
        "custom_field": one.startswith("VAT_"), "field_read_only": True, "read_only": True, "length": 255,
        "pick_list_values": [], "lookup": {}, "unique": {}, "system_mandatory": False,
    }  # fmt: skip


def _described(shown: str, place: int, name: str, label: str, kind: str, json_type: str) -> dict[str, Any]:
    return {
        "id": shown, "api_name": name, "field_label": label, "display_label": label, "data_type": kind,
        "json_type": json_type, "sequence_number": place, "visible": True, "virtual_field": False, "filterable": True,
        "searchable": True, "display_type": -1, "ui_type": 1, "type": "used", "webhook": True, "mass_update": False,
        "blueprint_supported": True, "default_value": None, "column_name": name.upper(), "formula": {},
        "multi_module_lookup": {}, "multiselectlookup": {}, "auto_number": {}, "currency": {},
        "customizable_properties": [],
    }  # fmt: skip


def _choices(portal: Portal, one: Field) -> list[dict[str, Any]]:
    if one.picks is None:
        return []
    if isinstance(one.picks, tuple):
        named = [(source_id("choice", place), name) for place, name in enumerate(one.picks, start=1)]
    else:
        rows = portal.office.desk.living(one.picks)
        named = [(source_id(one.picks, row.number), row.body["name"]) for row in rows]
    return [
        {"id": shown, "display_value": name, "actual_value": name, "reference_value": name, "type": "used",
         "sequence_number": place, "colour_code": None, "expected_data_type": "text", "maps": []}
        for place, (shown, name) in enumerate(named, start=1)
    ]  # fmt: skip


def _pipeline(portal: Portal, one: Item) -> dict[str, Any]:
    stages = [row for row in portal.office.desk.living("stage") if row.body["pipeline"] == one.number]
    stages.sort(key=lambda row: (row.body["sort"], row.number))
    return {
        "id": source_id("pipeline", one.number), "display_value": one.body["name"], "actual_value": one.body["name"],
        "default": one.number == 1, "child_available": False, "parent": None,
        "maps": [
            {
                "id": source_id("stage", row.number), "display_value": row.body["name"], "actual_value": row.body["name"],
                "sequence_number": place, "forecast_type": FORECAST_TYPES[row.body["outcome"]], "colour_code": "#ced9ff",
                "forecast_category": {"name": FORECASTS[row.body["outcome"]],
                                      "id": source_id("forecast", list(FORECASTS).index(row.body["outcome"]) + 1)},
            }
            for place, row in enumerate(stages, start=1)
        ],
    }  # fmt: skip


def _user(portal: Portal, one: Item) -> dict[str, Any]:
    by = portal.view.integration
    body = one.body
    return {
        "id": source_id("employee", one.number), "first_name": body["first_name"], "last_name": body["last_name"],
        "full_name": f"{body['first_name']} {body['last_name']}", "email": body["email"],
        "status": "active" if body["active"] else "inactive", "confirm": True, "zuid": f"7{one.number:08d}",
        "role": {"name": "Manager", "id": source_id("role", 1)},
        "profile": {"name": "Administrator" if one.number == 1 else "Standard",
                    "id": source_id("profile", 1 if one.number == 1 else 2)},
        "created_by": by, "Modified_By": by, "created_time": stamp(one.created), "Modified_Time": stamp(one.modified),
        "time_zone": "Europe/Moscow", "country_locale": "ru_RU", "locale": "ru_RU", "language": "ru_RU",
        "offset": 10_800_000, "category": "regular_user", "Isonline": False, "type__s": "Regular User",
        "alias": None, "phone": None, "mobile": None,
    }  # fmt: skip
