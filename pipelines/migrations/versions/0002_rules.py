"""The rules of mapping files as tables: stages, product aliases, units, VAT, currencies, settings."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(Path(__file__).with_name("0002_rules.sql").read_bytes())
