-- What people call the kinds of documents.
--
-- @owner accountants
-- @view
-- @column kind text -- order, invoice, realization, vat_invoice, correction or return
-- @column name text -- English
-- @column name_ru text -- Russian
-- @changed
-- @rows
select k.kind, ops.kind_name(k.kind) as name, ops.kind_name_ru(k.kind) as name_ru
from unnest(array['order', 'invoice', 'realization', 'vat_invoice', 'correction', 'return']) as k(kind)
