"""Outbound messages: SOAP envelopes posted when records of an object are created or changed.

They are set up as the Tooling API does it, one WorkflowOutboundMessage an address and object:

    POST tooling/sobjects/WorkflowOutboundMessage
    {"FullName": "Opportunity.ToLedger", "Metadata": {"endpointUrl": "http://…", "fields": ["Id", "Name"], …}}

Nothing is signed: what tells a listener that a message is true is the organization's id in it (and the
certificate of the connection, which a stand-in has not). A deletion sends nothing; a merge sends the winner.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from sandbox.crm.salesforce.fields import SObject, cell
from sandbox.crm.salesforce.ids import record_id
from sandbox.crm.salesforce.model import OBJECT_OF, Org
from sandbox.crm.salesforce.objects import organization, organization_id
from sandbox.crm.salesforce.rest import Answer, Call, Refusal, missing
from sandbox.desk.records import Happening, Item
from sandbox.office import Letter, Office

PREFIX: Final = "04k"
SENT: Final = frozenset({"added", "changed", "restored"})


class Messages:
    """The outbound messages of one organization, as the Tooling API shows them."""

    def __init__(self, office: Office, org: Org) -> None:
        self._office, self._org = office, org

    def create(self, call: Call) -> Answer:
        said = call.described()
        metadata = said.get("Metadata")
        name, _, developer = str(said.get("FullName") or "").partition(".")
        target = self._org.find(name)
        if target is None or not developer or not isinstance(metadata, dict):
            raise Refusal(
                400, "REQUIRED_FIELD_MISSING", "FullName must be Object.Name, and Metadata an object"
            )
        url = str(metadata.get("endpointUrl") or "")
        if urlsplit(url).scheme not in ("http", "https"):
            raise Refusal(
                400, "FIELD_INTEGRITY_EXCEPTION", f"endpointUrl is no address: {url}", ("endpointUrl",)
            )
        fields = list(metadata.get("fields") or ["Id"])
        unknown = [found for found in fields if found.lower() not in target.by_name]
        if unknown:
            raise Refusal(
                400, "INVALID_FIELD", f"No such column '{unknown[0]}' on sobject of type {target.name}"
            )
        shown = record_id(PREFIX, self._office.desk.store.counter(f"messages.{self._office.where}"))
        self._office.subscribe(shown, {
            "Id": shown, "FullName": f"{target.name}.{developer}", "Metadata": {**metadata, "fields": fields},
        })  # fmt: skip
        return Answer(201, {"id": shown, "success": True, "errors": [], "warnings": [], "infos": []})

    def one(self, call: Call, shown: str) -> Answer:
        found = next((hook for hook in self._office.hooks if hook["Id"] == shown), None)
        if found is None:
            raise missing()
        if call.method == "DELETE":
            self._office.unsubscribe(shown)
            return Answer(204)
        return Answer(200, found)


def letters(office: Office, happening: Happening) -> list[Letter]:
    """The envelopes about something that happened."""
    name = OBJECT_OF.get(happening.entity)
    item = office.desk.get(happening.entity, happening.number)
    if happening.kind not in SENT or item is None or name is None:
        return []
    wanted = [hook for hook in office.hooks if hook["FullName"].partition(".")[0] == name]
    if not wanted:
        return []
    target = _org(office).objects[name.lower()]
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
    return [
        Letter(hook["Metadata"]["endpointUrl"], _envelope(hook, target, item, happening.place), headers)
        for hook in wanted
    ]


_ORGS: Final[dict[str, Org]] = {}


def _org(office: Office) -> Org:
    known = _ORGS.get(office.where)
    if known is None or known.desk is not office.desk:
        known = _ORGS[office.where] = organization(office.desk)
    return known


def _envelope(hook: dict[str, Any], target: SObject, item: Item, place: int) -> bytes:
    fields = []
    for name in hook["Metadata"]["fields"]:
        found = target.by_name[name.lower()]
        value = found.get(item)
        if value is not None:
            fields.append(f"<sf:{found.name}>{escape(cell(found.kind, value))}</sf:{found.name}>")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        f"<OrganizationId>{organization_id()}</OrganizationId><ActionId>{hook['Id']}</ActionId>"
        '<SessionId xsi:nil="true"/><EnterpriseUrl/><PartnerUrl/>'
        f"<Notification><Id>{record_id('04l', place)}</Id>"
        f'<sObject xsi:type="sf:{target.name}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
        f"{''.join(fields)}</sObject></Notification></notifications></soapenv:Body></soapenv:Envelope>"
    ).encode()
