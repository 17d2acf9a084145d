"""What the organization says about its objects and fields: the global list, and one object's describe.

Keys and defaults are those of recorded describes. A field that field-level security hides is left out.
"""

from __future__ import annotations

from typing import Any, Final

from sandbox.crm.salesforce.fields import NUMBERS, Field, SObject
from sandbox.crm.salesforce.ids import PREFIXES, read_id, record_id
from sandbox.crm.salesforce.model import Org
from sandbox.crm.salesforce.objects import stages_of
from sandbox.crm.salesforce.rest import Refusal, missing

_SOAP: Final = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "date": "xsd:date",
    "datetime": "xsd:dateTime", "currency": "xsd:double", "double": "xsd:double", "percent": "xsd:double",
    "int": "xsd:int",
}  # fmt: skip


def everything(org: Org, base: str) -> dict[str, Any]:
    """GET sobjects."""
    rows = [_brief(target, base) for target in sorted(org.objects.values(), key=lambda target: target.name)]
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": rows}


def basic(target: SObject, base: str) -> dict[str, Any]:
    """GET sobjects/X."""
    return {"objectDescribe": _brief(target, base), "recentItems": []}


def describe(org: Org, target: SObject, visible: list[Field], base: str) -> dict[str, Any]:
    """GET sobjects/X/describe."""
    children = [
        {"cascadeDelete": name == "OpportunityLineItems", "childSObject": child, "deprecatedAndHidden": False,
         "field": link, "junctionIdListNames": [], "junctionReferenceTo": [], "relationshipName": name,
         "restrictedDelete": False}
        for name, (child, link) in target.children.items()
    ]  # fmt: skip
    return {
        "actionOverrides": [],
        "childRelationships": children,
        "compactLayoutable": True,
        **_brief(target, base),
        "fields": [_field(found) for found in visible],
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": _record_types(org) if target.name == "Opportunity" else [_master()],
        "searchLayoutable": True,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"Все {target.plural.lower()}", "name": "everything"}],
    }


def picklist(org: Org, target: SObject, record_type: str, name: str, base: str) -> dict[str, Any]:
    """GET ui-api/object-info/X/picklist-values/RECORDTYPE/FIELD: the values that a record type allows."""
    found = target.fields.get(name)
    if found is None or not found.choices:
        raise missing()
    choices = list(found.choices)
    if name == "StageName":
        known = read_id(record_type)
        pipeline = known[1] if known is not None and known[0] == PREFIXES["pipeline"] else 0
        if org.desk.get("pipeline", pipeline) is None:
            raise Refusal(400, "INVALID_TYPE_FOR_OPERATION", f"Record type {record_type} is not known")
        api_name = org.objects["opportunitystage"].fields["ApiName"]
        names = {api_name.get(stage) for stage in stages_of(org.desk, pipeline)}
        choices = [choice for choice in choices if choice[0] in names]
    values: list[dict[str, Any]] = [
        {"attributes": None, "label": label, "validFor": [], "value": value} for value, label in choices
    ]
    url = f"{base}/ui-api/object-info/{target.name}/picklist-values/{record_type}/{name}"
    return {"controllerValues": {}, "defaultValue": None, "url": url, "values": values}


def _brief(target: SObject, base: str) -> dict[str, Any]:
    root = f"{base}/sobjects/{target.name}"
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": target.creates,
        "custom": False,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": target.deletes,
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": target.prefix,
        "label": target.label,
        "labelPlural": target.plural,
        "layoutable": True,
        "mergeable": target.merges,
        "mruEnabled": target.creates,
        "name": target.name,
        "queryable": True,
        "replicateable": target.bin or target.name in ("User", "OpportunityStage"),
        "retrieveable": True,
        "searchable": True,
        "triggerable": target.creates,
        "undeletable": target.deletes,
        "updateable": target.updates,
        "urls": {"sobject": root, "describe": f"{root}/describe", "rowTemplate": f"{root}/{{ID}}"},
    }


def _field(found: Field) -> dict[str, Any]:
    length = found.length or (1300 if found.kind == "string" else 0)
    numeric = found.kind in NUMBERS
    return {
        "aggregatable": found.kind != "boolean",
        "aiPredictionField": False,
        "autoNumber": False,
        "byteLength": length if found.kind in ("id", "reference") else length * 3,
        "calculated": False,
        "calculatedFormula": None,
        "cascadeDelete": found.name == "OpportunityId",
        "caseSensitive": False,
        "compoundFieldName": None,
        "controllerName": None,
        "createable": found.create,
        "custom": found.custom,
        "defaultValue": False if found.kind == "boolean" else None,
        "defaultValueFormula": None,
        "defaultedOnCreate": found.kind == "boolean" or found.name in ("Id", "OwnerId"),
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": found.precision if found.kind == "int" else 0,
        "displayLocationInDecimal": False,
        "encrypted": False,
        "externalId": found.external,
        "extraTypeInfo": None,
        "filterable": True,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": not numeric and found.kind not in ("datetime", "textarea"),
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": found.external or found.kind == "id",
        "inlineHelpText": None,
        "label": found.label or found.name,
        "length": length if not numeric and found.kind not in ("boolean", "date", "datetime") else 0,
        "mask": None,
        "maskType": None,
        "name": found.name,
        "nameField": found.name == "Name",
        "namePointing": len(found.refers) > 1,
        "nillable": found.nillable,
        "permissionable": found.nillable and found.kind != "id",
        "picklistValues": [
            {"active": True, "defaultValue": False, "label": label, "validFor": None, "value": value}
            for value, label in found.choices
        ],
        "polymorphicForeignKey": len(found.refers) > 1,
        "precision": found.precision,
        "queryByDistance": False,
        "referenceTargetField": None,
        "referenceTo": list(found.refers),
        "relationshipName": found.relation or None,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "restrictedPicklist": found.restricted,
        "scale": found.scale,
        "searchPrefilterable": False,
        "soapType": _SOAP.get(found.kind, "xsd:string"),
        "sortable": found.kind != "textarea",
        "type": found.kind,
        "unique": found.unique,
        "updateable": found.update,
        "writeRequiresMasterRead": False,
    }


def _master() -> dict[str, Any]:
    return _record_type("Master", "Master", "012000000000000AAA", master=True, default=True)


def _record_types(org: Org) -> list[dict[str, Any]]:
    rows = org.desk.living("pipeline")
    names = org.objects["recordtype"].fields["DeveloperName"]
    return [
        _record_type(row.body["name"], names.get(row), record_id(PREFIXES["pipeline"], row.number),
                     default=row.number == 1)
        for row in rows
    ] + [_record_type("Master", "Master", "012000000000000AAA", master=True)]  # fmt: skip


def _record_type(
    name: str, developer: str, shown: str, *, master: bool = False, default: bool = False
) -> dict[str, Any]:
    return {
        "active": True, "available": True, "defaultRecordTypeMapping": default, "developerName": developer,
        "master": master, "name": name, "recordTypeId": shown, "urls": {},
    }  # fmt: skip
