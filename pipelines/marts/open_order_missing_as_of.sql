-- What an open deal lacks of that which is usually bought with it, by the realizations of the days up to `as_of`.
-- Deals stand as the CRM shows them now. A row is a deal and one product that it does not name: the product of the deal
-- with which it comes most often says why. Lines without a product of the catalogue, and products that accounting does
-- not know, speak for nothing.
--
-- @owner sales-ops
-- @arguments as_of date
-- @column deal_id text -- core.deal, open
-- @column deal text -- name of the deal
-- @column client_id text -- core.client; null: the deal names none
-- @column client text -- name of the client
-- @column employee_id text -- responsible manager, core.employee
-- @column manager text -- name of the responsible manager
-- @column other_key text -- core.accounting_product that is missing in the deal
-- @column other_code text -- its article
-- @column other text -- its name in accounting
-- @column product_id text -- core.product: the same in the deal's CRM; null: its catalogue has it not
-- @column product_key text -- core.accounting_product of the deal with which it is bought
-- @column product text -- name of that product
-- @column documents_with_both bigint -- realizations of the period that name both
-- @column confidence numeric -- how often whoever bought the product bought the missing one too, 0..1
-- @column lift numeric -- how much more often than by chance
-- @changed marts.deal core.deal_line documents.product core.product marts.bought_together_as_of
-- @rows
with named as (
    select distinct d.deal_id, d.source, p.product_key
    from marts.deal d
    join core.deal_line l on l.deal_id = d.deal_id and not l.is_deleted
    join documents.product p on p.product_id = l.product_id
    where d.outcome = 'open' and not d.is_deleted and p.product_key is not null
), offered as (
    -- of several products of a CRM that are one in accounting, the first
    select c.source, p.product_key, min(c.product_id) as product_id
    from documents.product p
    join core.product c on c.product_id = p.product_id and c.is_active and not c.is_deleted
    where p.product_key is not null
    group by c.source, p.product_key
), missing as (
    select distinct on (n.deal_id, b.other_key)
           n.deal_id, n.source, b.other_key, b.other_code, b.other, b.product_key, b.product, b.documents_with_both,
           b.confidence, b.lift
    from named n
    join marts.bought_together_as_of(as_of) b on b.product_key = n.product_key
    where not exists (select from named h where h.deal_id = n.deal_id and h.product_key = b.other_key)
    order by n.deal_id, b.other_key, b.confidence desc, b.lift desc, b.product_key
)
select
    m.deal_id,
    d.title as deal,
    d.client_id,
    d.client,
    d.employee_id,
    d.manager,
    m.other_key,
    m.other_code,
    m.other,
    o.product_id,
    m.product_key,
    m.product,
    m.documents_with_both,
    m.confidence,
    m.lift
from missing m
join marts.deal d on d.deal_id = m.deal_id
left join offered o on o.source = m.source and o.product_key = m.other_key
