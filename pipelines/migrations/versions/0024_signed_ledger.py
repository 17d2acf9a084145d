"""What the ledger refuses, what is set apart of it, and what people decide about variances."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(Path(__file__).with_name("0024_signed_ledger.sql").read_bytes())
