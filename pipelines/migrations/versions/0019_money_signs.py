"""Tell which currency the cell of a sum names: "1000 USD" in a deal in roubles is no thousand roubles."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(Path(__file__).with_name("0019_money_signs.sql").read_bytes())
