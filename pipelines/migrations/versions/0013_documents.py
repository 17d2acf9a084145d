"""Kinds of documents in one place; what becomes of a document that was posted and whose deal changed."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(Path(__file__).with_name("0013_documents.sql").read_bytes())
