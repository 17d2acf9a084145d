"""Tell two spellings of one number: a spreadsheet drops the leading zeros of what looks like a number."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute(
        """
        create function ops.number_key(number text) returns text
        language sql immutable parallel safe
        return ltrim(lower(regexp_replace(number, '\\s', '', 'g')), '0');
        comment on function ops.number_key is 'Equal for two spellings of one number: no spaces, no leading zeros, lower case.';
        """
    )
