"""A comment that accounting keeps cut to the length of its field is no edit."""

from __future__ import annotations

from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.execute(_EDITED_FIELDS)


_EDITED_FIELDS = """
-- `held`: content of an operation. `found`: {"document": columns of ledger.document, "lines": rows of ledger.document_line};
-- what is missing there is not read, and so not known.
create or replace function ops.edited_fields(held jsonb, found jsonb) returns text[]
language sql immutable parallel safe as $$
    with d as (select held -> 'document' as h, jsonb_strip_nulls(found -> 'document') as f,
               case when jsonb_typeof(found -> 'lines') = 'array' then found -> 'lines' end as lines),
    known as (
        select bool_and(l ->> 'vat' is not null) as vat, bool_and(l ->> 'vat_amount' is not null) as vat_amount
        from d, jsonb_array_elements(coalesce(d.lines, '[]')) l)
    select case when held is null then '{}' else array_remove(array[
        case when f ->> 'document_date' <> coalesce(h ->> 'document_date', '') then 'date' end,
        case when f ->> 'counterparty_key' <> coalesce(h ->> 'counterparty_key', '') then 'counterparty' end,
        case when f ->> 'contract_key' <> coalesce(h ->> 'contract_key', '') then 'contract' end,
        case when f ->> 'currency_key' <> coalesce(h ->> 'currency_key', '') then 'currency' end,
        case when (f ->> 'amount')::numeric is distinct from (h ->> 'amount')::numeric and f ? 'amount' then 'amount' end,
        case when jsonb_array_length(lines) > 0
              and ops.line_worths(lines, known.vat, known.vat_amount)
                  is distinct from ops.line_worths(held -> 'lines', known.vat, known.vat_amount) then 'lines' end,
        case when f ->> 'comment' <> coalesce(h ->> 'comment', '')
              -- A field of few letters keeps the beginning of a long comment.
              and not (length(f ->> 'comment') >= 30 and starts_with(coalesce(h ->> 'comment', ''), f ->> 'comment')) then 'comment' end
        ], null) end
    from d, known
$$;
comment on function ops.edited_fields is 'In what accounting''s document differs from what we last wrote, in the words of policies.';
"""
