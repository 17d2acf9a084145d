"""Alembic's entry: runs the missing steps in one transaction on the connection it is given."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

connection: Connection | None = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("migrations are applied by resources.warehouse.Warehouse.migrate(), not by `alembic`")

# Alembic keeps its revision in ops, so the schema must be there before the first step makes it.
connection.execute(text("CREATE SCHEMA IF NOT EXISTS ops"))
context.configure(connection=connection, version_table_schema="ops", transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
