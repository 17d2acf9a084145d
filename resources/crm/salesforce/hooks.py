"""What outbound messages hint at: SOAP envelopes with up to 100 notifications of one object, from a flow or a rule.

They bear no signature; beside the secret of the address the org's id in them is compared with ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree

from resources.connector import Delivery, Forged, Hint
from resources.crm.salesforce.entities import KINDS

OUTBOUND: Final = "{http://soap.sforce.com/2005/09/outbound}"
RECEIPT: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    '<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    "</soapenv:Body></soapenv:Envelope>"
)
_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
_ENTITIES: Final = {kind.object: entity for entity, kind in KINDS.items()}


def hints(delivery: Delivery, organization: str) -> Sequence[Hint]:
    """See HearsEvents.hear. `organization`: the org's id, "" where it is not known yet.

    Raises Forged for another org's message, ValueError for a body that is no outbound message.
    """
    if b"\0" in delivery.body:  # of UTF-16: what is looked for below would not be found
        raise ValueError("the message is not in UTF-8, as the vendor's are")
    if b"<!DOCTYPE" in delivery.body or b"<!ENTITY" in delivery.body:
        raise ValueError("the message declares entities, as the vendor's never do")
    try:
        root = ElementTree.fromstring(delivery.body)
    except ElementTree.ParseError as error:
        raise ValueError(f"the message is no XML: {error}") from None
    said = root.find(f".//{OUTBOUND}notifications")
    sender = (said.findtext(f"{OUTBOUND}OrganizationId") or "").strip() if said is not None else ""
    if said is None or not sender:
        raise ValueError("the message is no outbound message: it names no organization")
    if organization and sender[:15] != organization[:15]:
        raise Forged("the message is of another organization")
    found: dict[Hint, None] = {}
    for notification in said.iter(f"{OUTBOUND}Notification"):
        record = notification.find(f"{OUTBOUND}sObject")
        if record is None:
            continue
        entity = _ENTITIES.get(record.get(_TYPE, "").rpartition(":")[2])
        number = next(
            (child.text or "" for child in record if child.tag.rpartition("}")[2] == "Id"), ""
        ).strip()
        if entity is not None and number:
            found[Hint(entity, number)] = None
    return list(found)
