"""What works before one brand is known: find a source, accept a batch, claim what waits.

They run with the rights of the schema's owner, who sees every brand, and touch nothing but the tables named in them.
"""

from django.db import migrations

FIND_SOURCE = """
create function capture_find_source(wanted text)
returns table (
    id uuid, brand_id uuid, name text, kind text, auth_mode text, api_key_hash text, signing_secret bytea,
    mapping jsonb, required_fields text[], allowed_origins text[], default_country text
)
language sql stable security definer set search_path = public, pg_temp as $$
    -- By its name, or a landing page by the host or origin it is allowed to post from.
    select s.id, s.brand_id, s.name, s.kind, s.auth_mode, s.api_key_hash, s.signing_secret,
           s.mapping, s.required_fields, s.allowed_origins, b.default_country
    from capture_source s
    join identity_brand b on b.id = s.brand_id
    where s.is_active and b.is_active
      and (s.name = wanted
           or (s.kind = 'landing'
               and exists (select from unnest(s.allowed_origins) origin
                           where origin = wanted or split_part(origin, '://', 2) = wanted)))
    order by s.name <> wanted, s.id
    limit 1
$$
"""

ACCEPT = """
create function capture_accept(
    at timestamptz, max_retries int, sources uuid[], touch boolean,
    ids uuid[], source_ids uuid[], request_ids text[], own_ids boolean[], lead_ids text[], paths text[],
    headers text[], bodies bytea[], body_hashes text[], statuses text[], responses text[], error_codes text[],
    addresses text[], dedupe_keys text[], dedupe_windows_s int[]
)
returns table (place int, outcome text, submission_id uuid, http_status int, response text, wait_s int)
language plpgsql security definer set search_path = public, pg_temp as $$
-- Accepts a batch of requests of any sources in one transaction: exact token bucket, idempotency, storage, wake-up.
-- Returns rows only for requests that were not simply stored, by their place in the batch (from 1): `limited` (no
-- token), `refused` (not to be kept, but it cost a token), `conflict` (the sender's own id with another body),
-- `repeated` (stored before, with its answer), `duplicate` (stored now, as a repetition of another submission),
-- `gone` (its source is no more). An id of null asks for a token only. `sources` are the different ones of the batch;
-- `touch` notes that they were used. The status `lookup` is queued once what it names has been fetched.
#variable_conflict use_column
declare
    pending uuid[] := sources;
    bucket record;
    wanted int;
    ready int;
    whole bigint;
    refilled_at timestamptz;
    limits jsonb;
    admitted boolean[];
    firsts uuid[];
    written uuid[];
    n int;
begin
    -- The lock of the buckets, always in the same order, also makes requests of one source wait for each other:
    -- whoever comes second sees what the first one stored. A bucket is made when its source is first used.
    for n in 1..2 loop
        for bucket in
            select b.id, b.tokens, b.last_refill_at, s.id as source_id, s.rate_limit_per_min as rate
            from capture_source s
            join capture_ratelimitbucket b on b.brand_id = s.brand_id and b.source_id = s.id
            where s.id = any(pending) order by s.id for update of b
        loop
            -- The arithmetic of filiera.capture.rules, in whole microseconds.
            wanted := cardinality(array_positions(source_ids, bucket.source_id));
            whole := (least(greatest(extract(epoch from at - bucket.last_refill_at), 0), 86400) * 1000000)::bigint
                * bucket.rate / 60000000;
            ready := least(least(bucket.tokens, bucket.rate) + whole, bucket.rate);
            refilled_at := case
                when whole = 0 then bucket.last_refill_at
                when bucket.tokens + whole >= bucket.rate then at
                else bucket.last_refill_at + (whole * 60000000 / bucket.rate) * interval '1 microsecond' end;
            update capture_ratelimitbucket b
            set tokens = ready - least(wanted, ready), max_tokens = bucket.rate, refill_rate = bucket.rate,
                last_refill_at = refilled_at
            where b.id = bucket.id;
            if wanted > ready then
                limits := coalesce(limits, '{}') || jsonb_build_object(bucket.source_id, jsonb_build_array(
                    ready, greatest(1, ceil(extract(epoch from refilled_at - at)
                                            + ceil(60000000.0 / bucket.rate) / 1000000))::int));
            end if;
            pending := array_remove(pending, bucket.source_id);
        end loop;
        exit when cardinality(pending) = 0;
        insert into capture_ratelimitbucket (id, brand_id, source_id, tokens, max_tokens, refill_rate, last_refill_at)
        select gen_random_uuid(), s.brand_id, s.id, s.rate_limit_per_min, s.rate_limit_per_min,
               s.rate_limit_per_min, at
        from capture_source s where s.id = any(pending) order by s.id
        on conflict (brand_id, source_id) do nothing;
    end loop;
    if limits is not null then
        select array_agg(coalesce(u.turn <= (limits->u.source_id::text->>0)::int, true) order by u.place)
        into admitted
        from (select e.source_id, e.place, row_number() over (partition by e.source_id order by e.place) as turn
              from unnest(source_ids) with ordinality e(source_id, place)) u;
    end if;

    -- A lead that came before under another request: the first one within the window, in the table or in this batch.
    for n in select i from generate_subscripts(dedupe_keys, 1) i where dedupe_keys[i] <> '' loop
        firsts[n] := (
            select f.id from (
                select d.id, d.received_at from capture_submission d
                join capture_source s on s.id = source_ids[n] and s.brand_id = d.brand_id
                where d.source_id = source_ids[n] and d.dedupe_key = dedupe_keys[n]
                  and d.status not in ('duplicate', 'rejected', 'discarded')
                  and d.received_at > at - dedupe_windows_s[n] * interval '1 second'
                union all
                select ids[j], at from generate_subscripts(ids, 1) j
                where j < n and source_ids[j] = source_ids[n] and dedupe_keys[j] = dedupe_keys[n]
                  and firsts[j] is null and ids[j] is not null and statuses[j] = 'queued'
                  and (admitted is null or admitted[j])
            ) f order by f.received_at limit 1);
        if firsts[n] is not null then
            statuses[n] := 'duplicate';
        end if;
    end loop;

    with stored as (
        insert into capture_submission (
            id, brand_id, source_id, request_id, lead_id, method, path, headers, content_type, body, body_hash,
            dedupe_key, needs_lookup, status, http_status, response, error_code, ip_address, user_agent, received_at,
            queue_state, attempts, max_retries, visible_at, leased_by, last_error, dead_reason)
        select e.id, s.brand_id, e.source_id, e.request_id, e.lead_id, 'POST', e.path, e.said,
            left(coalesce(e.said->>'content-type', ''), 255), e.body, e.body_hash,
            e.dedupe_key, e.status = 'lookup', case e.status when 'lookup' then 'queued' else e.status end,
            case when starts_with(e.answer, '{"success":false') then 400 else 200 end, e.answer::jsonb, e.error_code,
            e.address::inet, left(coalesce(e.said->>'user-agent', ''), 400), at,
            case when e.status in ('queued', 'lookup') then 'ready' else 'done' end, 0, max_retries, at, '', '', ''
        from unnest(ids, source_ids, request_ids, lead_ids, paths, headers::jsonb[], bodies, body_hashes, statuses,
                    responses, error_codes, addresses, dedupe_keys) with ordinality
             e(id, source_id, request_id, lead_id, path, said, body, body_hash, status,
               answer, error_code, address, dedupe_key, place)
        join capture_source s on s.id = e.source_id
        where e.id is not null and (admitted is null or admitted[e.place::int])
        order by e.place
        on conflict (brand_id, source_id, request_id) do nothing
        returning id, queue_state
    )
    select array_agg(stored.id), count(*) filter (where stored.queue_state = 'ready') into written, n from stored;

    if n > 0 then
        perform pg_notify('filiera_lead', '');
    end if;
    if 'lookup' = any(statuses) then
        if exists (select from capture_submission q where q.id = any(written) and q.needs_lookup) then
            insert into procrastinate_jobs (queue_name, task_name) values ('default', 'capture.look_up');
        end if;
    end if;
    if touch then
        update capture_source s set last_used_at = at where s.id = any(sources);
    end if;
    if cardinality(written) = cardinality(ids) and firsts is null then
        return;
    end if;

    return query
    select e.place::int,
        case when s.id is null then 'gone'
             when admitted is not null and not admitted[e.place::int] then 'limited'
             when e.id is null then 'refused'
             when firsts[e.place::int] is not null and e.id = any(written) then 'duplicate'
             when e.own and old.body_hash <> e.body_hash then 'conflict'
             else 'repeated' end,
        old.id, old.http_status, old.response::text, (limits->e.source_id::text->>1)::int
    from unnest(ids, source_ids, request_ids, own_ids, body_hashes) with ordinality
         e(id, source_id, request_id, own, body_hash, place)
    left join capture_source s on s.id = e.source_id
    left join capture_submission old on old.brand_id = s.brand_id and case
        when firsts[e.place::int] is not null and e.id = any(written) then old.id = firsts[e.place::int]
        else old.source_id = e.source_id and old.request_id = e.request_id end
    where e.id is null or e.id <> all(coalesce(written, '{}')) or firsts[e.place::int] is not null
    order by e.place;
end $$
"""

CLAIM = """
create function capture_claim(
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
    where q.id in (
        select l.id from capture_submission l
        where l.queue_state = 'leased' and l.needs_lookup = lookup and l.visible_at <= at
        order by l.visible_at, l.id limit most for update skip locked);

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
        where q.id in (select chosen.id from chosen)
        returning q.*
    )
    select * from leased order by leased.received_at, leased.id;
end $$
"""

NEXT_DUE = """
create function capture_next_due(lookup boolean) returns timestamptz
language sql stable security definer set search_path = public, pg_temp as $$
    select min(due) from (
        (select visible_at as due from capture_submission
         where queue_state = 'ready' and needs_lookup = lookup order by visible_at limit 1)
        union all
        (select visible_at from capture_submission
         where queue_state = 'leased' and needs_lookup = lookup order by visible_at limit 1)) waiting
$$
"""


class Migration(migrations.Migration):
    dependencies = [("capture", "0002_brand_isolation"), ("procrastinate", "0001_initial")]
    operations = [
        migrations.RunSQL(FIND_SOURCE, "drop function capture_find_source"),
        migrations.RunSQL(ACCEPT, "drop function capture_accept"),
        migrations.RunSQL(CLAIM, "drop function capture_claim"),
        migrations.RunSQL(NEXT_DUE, "drop function capture_next_due"),
    ]
