"""The three targets: how each is set up over the sandbox, and what it holds, read without our connector."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec

from tests.whole_road import DEMO, SALES

READY: Final = Path(__file__).parents[2] / "mappings" / "accounting"
TARGETS: Final = ("onec", "sap", "quickbooks")
CLOSED: Final = {
    "onec": "closed",
    "sap": "accounting/sap/closed",
    "quickbooks": "accounting/quickbooks/closed",
}
WRITES: Final = {
    "onec": ("invoice", "realization", "correction", "return"),
    "sap": ("order",),
    "quickbooks": ("realization", "return"),
}
UP_TO: Final = {"onec": Decimal(0), "sap": Decimal("0.05"), "quickbooks": Decimal("0.05")}
"""Of rounding: SAP and QuickBooks reckon the tax of a document, the CRM has it in each line."""
ONEC: Final = SALES | {
    "correction": "Document_КорректировкаРеализации",
    "return": "Document_ВозвратТоваровОтПокупателя",
}
POLICIES: Final = {
    "onec": (
        """      posted: {due_on: update, comment: update, "*": ask}
      paid: {"*": ask}
      closed: {"*": ask}
""",
        """      posted: {amount: correction, lines: update, cancelled: reversal, "*": ask}
      paid: {"*": ask}
      closed: {amount: correction, cancelled: reversal, "*": ask}
""",
    ),
    "quickbooks": (
        """      posted: {"*": update, counterparty: ask, currency: ask, cancelled: ask}
      paid: {"*": ask}
      closed: {"*": ask}
""",
        """      posted: {amount: reversal, lines: update, cancelled: reversal, "*": ask}
      paid: {"*": ask}
      closed: {amount: reversal, cancelled: reversal, "*": ask}
""",
    ),
}
"""By target what the ready file says of posted documents, and what it says here: everything that it can do."""
RESEND_AFTER_SECONDS: Final = 3.0
"""Of SAP: longer than any request here is held back, on a busy machine too."""
MARKED: Final = re.compile("^#: ?", re.MULTILINE)
_KEY: Final = re.compile(r"\[sverka ([0-9a-f-]{36})\]")


@dataclass(frozen=True)
class Held:
    """A document that the target holds: our key on it, its deal, sum, day, and the record as it is."""

    key: str
    deal: str  # "" where the target does not show it
    kind: str
    amount: Decimal
    day: str
    posted: bool
    lines: (
        tuple[tuple[Decimal, Decimal], ...] | None
    )  # (quantity, sum), sorted; None where it does not show them
    record: Mapping[str, Any]


def write_mappings(target: str, folder: Path) -> None:
    """Mapping files of a company whose documents follow their deals as far as its target can write them."""
    folder.mkdir(parents=True)
    crm = (DEMO / "bitrix24.yaml").read_text(encoding="utf-8")
    text = MARKED.sub("", (READY / f"{target}.yaml").read_text(encoding="utf-8"))
    if target in POLICIES:
        text = _instead(text, *POLICIES[target])
    text = _instead(text, "approval: manual ", "approval: auto ")
    if target == "sap":
        crm = crm.replace("documents: [invoice, realization]", "documents: [order, realization]")
        crm = crm.replace("documents: [invoice]", "documents: [order]")
    if (
        target == "quickbooks"
    ):  # which writes no invoices here: else few deals of a small company call for anything
        crm = crm.replace("documents: [invoice]", "documents: [realization]")
    (folder / f"{target}.yaml").write_text(text, encoding="utf-8")
    (folder / "bitrix24.yaml").write_text(crm, encoding="utf-8")


def copy_mappings(source: Path, folder: Path) -> None:
    shutil.copytree(source, folder)


def environment_of(target: str, control: Any) -> dict[str, str]:
    """What the mapping files ask of the environment for a running sandbox; `control` asks its panel."""
    info = control("info")
    found = {"SVERKA_BITRIX24_URL": info["bitrix24"]["webhook"]}
    if target == "onec":
        onec = info["onec"]
        return found | {
            "SVERKA_ONEC_URL": onec["odata"],
            "SVERKA_ONEC_USER": onec["user"],
            "SVERKA_ONEC_PASSWORD": onec["password"],
            "SVERKA_ONEC_ALLOW_HTTP": "1",
        }
    prefix = f"SVERKA_{target.upper()}_"
    found |= {
        prefix + name.upper(): str(value)
        for name, value in control(f"accounting/{target}/connection").items()
    }
    if target == "sap":
        found[f"{prefix}RESEND_AFTER_SECONDS"] = str(RESEND_AFTER_SECONDS)
    if target == "quickbooks":
        found |= {f"{prefix}RATE_PER_SECOND": "1000", f"{prefix}BURST": "1100"}
    return found


def held_by(target: str, control: Any) -> list[Held]:
    """Every living document that bears our key or a deal of ours."""
    match target:
        case "onec":
            return _held_by_onec(control)
        case "sap":
            return _held_by_sap(control)
        case _:
            return _held_by_quickbooks(control)


def _held_by_onec(control: Any) -> list[Held]:
    onec = control("info")["onec"]
    found = []
    for kind, name in ONEC.items():
        answer = httpx.get(
            onec["odata"] + name,
            params={"$format": "json"},
            auth=(onec["user"], onec["password"]),
            timeout=120,
        )
        answer.raise_for_status()
        for row in msgspec.json.Decoder(float_hook=Decimal).decode(answer.content)["value"]:
            if row["DeletionMark"] or not row["Комментарий"].startswith("crm:"):
                continue
            lines = [*row.get("Товары", []), *row.get("Услуги", [])]
            found.append(
                Held(
                    row["Ref_Key"], row["Комментарий"].removeprefix("crm:"), kind, Decimal(row["СуммаДокумента"]),
                    row["Date"][:10], row["Posted"],
                    tuple(sorted((Decimal(line["Количество"]), Decimal(line["Сумма"])) for line in lines)), row,
                )
            )  # fmt: skip
    return found


def _held_by_sap(control: Any) -> list[Held]:
    found = []
    for row in control("accounting/sap")["orders"].values():
        reference = str(row["PurchaseOrderByCustomer"])
        if not re.fullmatch("[0-9a-fA-F]{32}", reference):
            continue
        found.append(
            Held(
                str(UUID(reference)), "", "order",
                Decimal(str(row["TotalNetAmount"])), str(row.get("SalesOrderDate", ""))[:10], False, None, row,
            )
        )  # fmt: skip
    return found


def _held_by_quickbooks(control: Any) -> list[Held]:
    found = []
    for row in control("accounting/quickbooks")["documents"].values():
        note = str(row["note"])
        if row["kind"] not in ("Invoice", "CreditMemo") or not note.startswith("crm:"):
            continue
        bears = _KEY.search(note)
        found.append(
            Held(
                bears[1] if bears else "", note.removeprefix("crm:").partition("\n")[0],
                "realization" if row["kind"] == "Invoice" else "return",
                Decimal(row["total"]), row["date"], True, None, row,
            )
        )  # fmt: skip
    return found


def _instead(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"the mapping no longer says {old!r} once"
    return text.replace(old, new)
