"""The stages as schemas, the reader's role, the working memory `ops`, and the parsing functions."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    for part in ("schemas", "memory", "operations", "values"):
        # No parameters: psycopg then sends the script whole, and leaves % and : alone.
        driver.execute(Path(__file__).with_name(f"0001_{part}.sql").read_bytes())
