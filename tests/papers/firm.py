"""A firm with one buyer in roubles, one in dollars and one of whom nothing is known: the worked example of docs/ledger.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from resources.warehouse import Connection, Warehouse
from tests.marts.company import BOOKS, DOLLAR, ROUBLE, deploy_empty, insert

OURS, SECOND = "onec:firm", "onec:second"
ROMASHKA, ACME, SILENT = "onec:romashka", "onec:acme", "onec:silent"
MAIN, OTHER = "onec:main", "onec:other"  # contracts of Romashka
ACCOUNTS = ("51", "52", "62.01", "62.02", "62.21", "62.22", "90.01.1")


def found_firm(warehouse: Warehouse) -> None:
    deploy_empty(warehouse)
    with warehouse.transaction() as conn:
        settings = [
            ("onec", "settlement_accounts", '["62.01", "62.02", "62.21", "62.22"]'),
            ("onec", "currency", '"RUB"'),
            ("onec", "timezone", '"Europe/Moscow"'),
        ]
        insert(conn, "ops.setting", {}, "system name value", settings)
        insert(
            conn, "core.accounting_account", BOOKS, "account_key code", [(f"onec:{a}", a) for a in ACCOUNTS]
        )
        firms = [(OURS, "ООО «Наша фирма»", "7701000500"), (SECOND, "ООО «Вторая»", "7701000600")]
        insert(conn, "core.accounting_organization", BOOKS, "organization_key name tax_number", firms)
        insert(
            conn, "core.accounting_counterparty", BOOKS, "counterparty_key name full_name name_key tax_number kpp code",
            [
                (ROMASHKA, "Ромашка ООО", "ООО «Ромашка»", "ромашка", "7701000017", "770101001", "00-1"),
                ("onec:romashka-branch", "Ромашка филиал", "ООО «Ромашка», филиал", "ромашка филиал", "7701000017", "780101001", "00-2"),
                (ACME, "Acme Inc", "Acme Inc", "acme", None, None, "00-3"),
                (SILENT, "Тихий ИП", "ИП Тихий", "тихий", "770100001788", None, "00-4"),
            ],
        )  # fmt: skip
        insert(
            conn, "core.accounting_contract", BOOKS | {"counterparty_key": ROMASHKA}, "contract_key name",
            [(MAIN, "Основной договор"), (OTHER, "Договор 2")],
        )  # fmt: skip
        _documents(conn)
        _entries(conn)
        insert(
            conn, "ops.batch", {"mode": "full", "status": "loaded"}, "source entity window_to",
            [("onec", "entry", "2026-05-04 09:00Z")],
        )  # fmt: skip


def _documents(conn: Connection) -> None:
    sale = BOOKS | {
        "kind": "realization",
        "is_posted": True,
        "counterparty_key": ROMASHKA,
        "currency_key": ROUBLE,
    }
    insert(
        conn, "ledger.document", sale | {"organization_key": OURS, "contract_key": MAIN}, "document_key number document_date amount",
        [("R1", "0000-000001", "2026-01-15", 1200), ("R2", "0000-000002", "2026-02-10", 600)],
    )  # fmt: skip
    insert(
        conn, "ledger.document", sale | {"organization_key": SECOND}, "document_key number document_date amount",
        [("R4", "В-1", "2026-03-20", 100)],
    )  # fmt: skip
    insert(
        conn, "ledger.document", sale | {"organization_key": OURS, "counterparty_key": ACME, "currency_key": DOLLAR},
        "document_key number document_date amount rate", [("R3", "0000-000003", "2026-01-25", 500, 80)],
    )  # fmt: skip
    money = BOOKS | {
        "is_posted": True,
        "organization_key": OURS,
        "currency_key": ROUBLE,
        "counterparty_key": ROMASHKA,
    }
    insert(
        conn, "ledger.payment", money, "payment_key kind number paid_on amount",
        [
            ("P0", "receipt", "11", "2025-12-20", 500),
            ("P1", "receipt", "12", "2026-02-01", 700),
            ("P2", "receipt", "13", "2026-03-05", 250),
            ("F1", "refund", "1", "2026-03-12", 15),
            ("P3", "receipt", "14", "2026-04-02", 1000),
        ],
    )  # fmt: skip
    insert(
        conn, "ledger.payment", money | {"counterparty_key": ACME, "currency_key": DOLLAR}, "payment_key kind number paid_on amount rate",
        [("P4", "receipt", "15", "2026-03-01", 520, 82)],
    )  # fmt: skip


def _entries(conn: Connection) -> None:
    enter(
        conn,
        # document, day, debit, what it settles, credit, what it settles, amount
        ("P0", "2025-12-20", "51", None, "62.02", "P0", 500),
        ("R1", "2026-01-15", "62.01", "R1", "90.01.1", None, 1200),
        ("R1", "2026-01-15", "62.02", "P0", "62.01", "R1", 500),
        ("P1", "2026-02-01", "51", None, "62.01", "R1", 700),
        ("R2", "2026-02-10", "62.01", "R2", "90.01.1", None, 600),
        ("P2", "2026-03-05", "51", None, "62.01", "R2", 250),
        ("F1", "2026-03-12", "62.01", "R2", "51", None, 15),
        ("P3", "2026-04-02", "51", None, "62.01", "R2", 365),
        ("P3", "2026-04-02", "51", None, "62.02", "P3", 635),
    )
    enter(conn, ("R4", "2026-03-20", "62.01", "R4", "90.01.1", None, 100), organization=SECOND, contract=None)
    dollars = {"organization": OURS, "party": ACME, "contract": None, "currency": DOLLAR}
    enter(conn, ("R3", "2026-01-25", "62.21", "R3", "90.01.1", None, 40000), currency_amount=500, **dollars)
    enter(conn, ("P4", "2026-03-01", "52", None, "62.21", "R3", 42640), currency_amount=520, **dollars)


def enter(
    conn: Connection,
    *rows: Sequence[Any],
    organization: str | None = OURS,
    party: str = ROMASHKA,
    contract: str | None = MAIN,
    currency: str | None = None,
    currency_amount: int | None = None,
) -> None:
    """Entries of the register: of a side on 62 the party, the contract, what it settles, and its currency."""
    for document, day, debit, debit_document, credit, credit_document, amount in rows:
        count = conn.execute("select count(*) from ledger.entry").fetchone()
        line = f"{document}:{count[0] if count else 0}"
        sides: dict[str, Any] = {}
        for name, account, settled in (("debit", debit, debit_document), ("credit", credit, credit_document)):
            if account.startswith("62"):
                sides |= {
                    f"{name}_counterparty_key": party, f"{name}_contract_key": contract, f"{name}_document_key": settled,
                    f"{name}_currency_key": currency, f"{name}_currency_amount": currency_amount,
                }  # fmt: skip
        insert(
            conn, "ledger.entry", BOOKS | {"is_active": True, "organization_key": organization} | sides,
            "entry_key document_key booked_on account_dr_key account_cr_key amount",
            [(line, document, day, f"onec:{debit}", f"onec:{credit}", amount)],
        )  # fmt: skip
