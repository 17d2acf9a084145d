-- Stages of every pipeline, in their order.
--
-- @owner sales-ops
-- @scope stage_id
create table core.stage (
    stage_id      text not null primary key, -- system:pipeline/stage
    source        text not null,             -- connected system
    source_id     text not null,             -- id in that system
    pipeline_code text,                      -- pipeline's id in the source
    stage_code    text,                      -- stage's id in the source, as deals carry it
    name          text,                      -- name shown in the CRM
    position      integer,                   -- order within the pipeline
    outcome       text,                      -- open, won or lost
    is_deleted    boolean not null,          -- no longer in the source
    problems      text[] not null            -- what could not be read, in sentences
);

-- @rows mapping
