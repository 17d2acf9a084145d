"""What telling which records are one client remembers: features, keys, pairs, decisions and the ids of clients."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(Path(__file__).with_name("0021_identity.sql").read_bytes())
