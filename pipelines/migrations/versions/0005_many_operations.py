"""Keep the operation ledger quick when it is long, and when many operations move at once.

A trigger's statement is planned once a connection, most often for a handful of rows, and that plan is kept: the
nested loop that suits ten operations compared 42,000 with each other for minutes. What was sent of a document
is looked up by its key.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER FUNCTION ops.tell_operation() SET enable_nestloop = off")
    op.execute("ALTER FUNCTION ops.log_move() SET enable_nestloop = off")
    op.execute("CREATE INDEX ON ops.operation (key, target)")
