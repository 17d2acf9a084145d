"""Who a field of a written record belongs to, what accounting changed of it; targets that do not answer."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(Path(__file__).with_name("0015_owners.sql").read_bytes())
