-- One copy of the deals that were laid through the road, as the road would have left them: every deal once more with the
-- copy's number before its own, its documents under the keys that its deal computes, its operations verified. Clients,
-- products and accounting's catalogues are those of the originals. Parameters: copy.

truncate twin;

insert into twin
select d.deal_id, d.source_id, 'bitrix24:' || %(copy)s || d.source_id, %(copy)s || d.source_id,
       ops.key_of('onec', 'invoice', d.deal_id || '/1'), ops.key_of('onec', 'realization', d.deal_id || '/1'),
       ops.key_of('onec', 'invoice', 'bitrix24:' || %(copy)s || d.source_id || '/1'),
       ops.key_of('onec', 'realization', 'bitrix24:' || %(copy)s || d.source_id || '/1')
from original d;

analyze twin;

insert into core.deal
select r.*
from core.deal d join twin t on t.deal_id = d.deal_id
cross join lateral jsonb_populate_record(d, jsonb_build_object('deal_id', t.new_id, 'source_id', t.new_number)) r;

insert into core.deal_line
select r.*
from core.deal_line l join twin t on t.deal_id = l.deal_id
cross join lateral jsonb_populate_record(l, jsonb_build_object(
           'line_id', 'bitrix24:' || %(copy)s || l.source_id, 'source_id', %(copy)s || l.source_id, 'deal_id', t.new_id)) r;

insert into documents.deal
select r.*
from documents.deal d join twin t on t.deal_id = d.deal_id
cross join lateral jsonb_populate_record(d, jsonb_build_object('deal_id', t.new_id, 'source_id', t.new_number)) r;

insert into documents.document_line
select r.*
from documents.document_line l join twin t on t.deal_id = l.deal_id
cross join lateral jsonb_populate_record(l, jsonb_build_object(
           'line_id', 'bitrix24:' || %(copy)s || substr(l.line_id, 10), 'deal_id', t.new_id)) r;

insert into documents.document
select r.*
from documents.document d join twin t on t.deal_id = d.deal_id
cross join lateral jsonb_populate_record(d, jsonb_build_object(
           'document_key', 'onec:' || case d.kind when 'invoice' then t.new_invoice else t.new_realization end,
           'deal_id', t.new_id, 'comment', 'crm:' || t.new_id)) r;

insert into ledger.document
select r.*
from documents.document o
join twin t on t.deal_id = o.deal_id
join ledger.document d on d.document_key = o.document_key
cross join lateral (select case d.kind when 'invoice' then t.new_invoice else t.new_realization end as key) k
cross join lateral jsonb_populate_record(d, jsonb_build_object(
           'document_key', 'onec:' || k.key, 'source_id', k.key, 'comment', 'crm:' || t.new_id)) r;

insert into ledger.obligation
select r.*
from ledger.obligation o join twin t on t.deal_id = o.deal_id
cross join lateral jsonb_populate_record(o, jsonb_build_object(
           'document_key', 'onec:' || case o.kind when 'invoice' then t.new_invoice else t.new_realization end,
           'deal_id', t.new_id)) r;

insert into ledger.allocation
select r.*
from ledger.allocation a
join ledger.obligation o on o.document_key = a.document_key
join twin t on t.deal_id = o.deal_id
cross join lateral jsonb_populate_record(a, jsonb_build_object(
           'allocation_key', a.allocation_key || '/' || %(copy)s, 'payment_key', a.payment_key || '/' || %(copy)s,
           'document_key', 'onec:' || case o.kind when 'invoice' then t.new_invoice else t.new_realization end)) r;

insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, state, body, content,
                           content_hash, depends_on, attempts, amount, currency, version, planned_at, changed_at, run_id)
select case o.action when 'create' then n.key::uuid else ops.uuid8(n.key::uuid, 'post') end, o.target, o.kind, o.action, n.key,
       o.source, t.new_number, t.new_id, o.state, n.body,
       replace(replace(replace(replace(o.content::text, '"' || t.deal_id || '"', '"' || t.new_id || '"'),
                               'crm:' || t.deal_id, 'crm:' || t.new_id), o.key, n.key),
               '"line_id": "bitrix24:', '"line_id": "bitrix24:' || %(copy)s)::jsonb,
       md5(n.body::text),
       case when o.depends_on = '{}' then '{}' when o.action = 'post' then array[n.key::uuid] else array[t.new_invoice::uuid] end,
       o.attempts, o.amount, o.currency, o.version, o.planned_at, o.changed_at, o.run_id
from ops.operation o
join twin t on t.deal_id = o.subject
cross join lateral (
    select case o.kind when 'invoice' then t.new_invoice else t.new_realization end as key,
           replace(o.body::text, 'crm:' || t.deal_id, 'crm:' || t.new_id)::jsonb as body
    offset 0  -- once a row
) n
where o.target = 'onec' and ops.is_document(o.kind)
