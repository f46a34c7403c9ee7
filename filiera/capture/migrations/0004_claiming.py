"""Claim by looking into the primary key.

With `in (…)` the planner, which does not know the size of a batch inside the function, may read every submission there
ever was to find those of one batch; `= any(array(…))` is one look into the index for each.
"""

from importlib import import_module

from django.db import migrations

before = import_module("filiera.capture.migrations.0003_accepting")

CLAIM = """
create or replace function capture_claim(
    most int, worker text, at timestamptz, lease_s int, lookup boolean, most_bytes bigint, most_lapses int)
returns setof capture_submission
language plpgsql security definer set search_path = public, pg_temp as $$
-- Takes submissions that wait, the oldest first, under a lease; what others hold is skipped. A lease that lapsed gives
-- its submission back, and counts as an attempt: one that kills its worker again and again ends among the dead.
begin
    update capture_submission q
    set attempts = q.attempts + 1, leased_by = '', leased_until = null,
        queue_state = case when q.attempts + 1 >= most_lapses then 'dead' else 'ready' end,
        status = case when q.attempts + 1 >= most_lapses then 'dead' else q.status end,
        dead_at = case when q.attempts + 1 >= most_lapses then at else null end,
        dead_reason = case when q.attempts + 1 >= most_lapses then 'LEASE_LAPSED' else '' end,
        last_error = 'the lease lapsed'
    where q.id = any(array(
        select l.id from capture_submission l
        where l.queue_state = 'leased' and l.needs_lookup = lookup and l.visible_at <= at
        order by l.visible_at, l.id limit most for update skip locked));

    return query
    with waiting as (
        select w.id, w.visible_at, octet_length(w.body) as bytes from capture_submission w
        where w.queue_state = 'ready' and w.needs_lookup = lookup and w.visible_at <= at
        order by w.visible_at, w.id limit most for update skip locked
    ), chosen as (
        select c.id from (
            select waiting.id, row_number() over w as place, sum(waiting.bytes) over w as bytes
            from waiting window w as (order by waiting.visible_at, waiting.id)) c
        where c.place = 1 or c.bytes <= most_bytes
    ), leased as (
        update capture_submission q
        set queue_state = 'leased', leased_by = worker, leased_until = at + lease_s * interval '1 second',
            visible_at = at + lease_s * interval '1 second'
        where q.id = any(array(select chosen.id from chosen))
        returning q.*
    )
    select * from leased order by leased.received_at, leased.id;
end $$
"""


class Migration(migrations.Migration):
    dependencies = [("capture", "0003_accepting")]
    operations = [
        migrations.RunSQL(CLAIM, before.CLAIM.replace("create function", "create or replace function"))
    ]
