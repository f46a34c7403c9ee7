"""The record of who did what: written by the database, sealed by a job, deleted when its term is over.

Why it is made so, and what each function is for, is in docs/decisions/014-audit-log.md.
"""

from django.db import migrations, models

import filiera.platform.ids
from filiera.platform.migration_operations import Audited

# What a runtime role may do with the two tables is read them. Which roles have which names is the installation's.
READ_ONLY = """
do $$
declare
    held record;
begin
    for held in
        select c.relname, a.grantee::regrole as role from pg_class c, aclexplode(c.relacl) a
        where c.relname in ('audit_log', 'audit_chain') and c.relnamespace = 'public'::regnamespace
          and a.grantee not in (0, c.relowner)
    loop
        execute format('revoke insert, update, delete, truncate, references, trigger on %I from %s',
                       held.relname, held.role);
    end loop;
end $$
"""

ISOLATED = """
alter table audit_log enable row level security;
alter table audit_log force row level security;
create policy brand_isolation on audit_log
    using (brand_id = nullif(current_setting('app.brand_id', true), '')::uuid)
    with check (brand_id = nullif(current_setting('app.brand_id', true), '')::uuid);
alter table audit_log alter column brand_id set statistics 0;
alter table audit_log add constraint audit_log_brand_key unique (brand_id, id)
"""

# A version 7 UUID, as filiera.platform.ids makes them: what is new lies together in every index. The functions below
# that run as the owner fix the path for this one, which a path of its own would keep from being inlined.
NEW_ID = """
create function identity_new_id(at timestamptz) returns uuid language sql volatile as $$
    select encode(set_bit(set_bit(
        overlay(uuid_send(gen_random_uuid()) placing substring(int8send((extract(epoch from at) * 1000)::bigint) from 3)
                from 1 for 6), 52, 1), 53, 1), 'hex')::uuid
$$
"""

# Who acts, as filiera.platform.actor told this transaction; nothing told means SQL by hand.
ACTOR = """
create function identity_audit_actor(
    out kind text, out name text, out user_id uuid, out request_id text, out ip_address inet, out user_agent text
) language plpgsql stable as $$
declare
    told text;
begin
    kind := coalesce(nullif(current_setting('app.actor_kind', true), ''), 'sql');
    name := coalesce(nullif(current_setting('app.actor_name', true), ''), '');
    request_id := coalesce(current_setting('app.request_id', true), '');
    user_agent := coalesce(current_setting('app.user_agent', true), '');
    told := current_setting('app.actor_id', true);
    if pg_input_is_valid(told, 'uuid') then user_id := told::uuid; end if;
    told := current_setting('app.ip_address', true);
    if pg_input_is_valid(told, 'inet') then ip_address := told::inet; end if;
end $$
"""

# One run for a statement, whatever the number of its rows. Arguments: what the API calls the rows, their key, columns
# whose change alone is none, columns never shown. Columns that name themselves a secret are never shown either.
CHANGE = """
create function identity_audit_change() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    entity constant text := tg_argv[0];
    key constant text := tg_argv[1];
    ignored constant text[] := tg_argv[2]::text[];
    hidden constant text[] := tg_argv[3]::text[];
    secret constant text := '(passw|secret|token|ciphertext|nonce|recovery|backup_code|key_hash|private_key)';
    action constant text := case tg_op when 'INSERT' then 'CREATE' else tg_op end;
    belongs constant text := case entity when 'brands' then 'id' else 'brand_id' end;
    at constant timestamptz := clock_timestamp();
    scope constant uuid := nullif(current_setting('app.brand_id', true), '')::uuid;
    told record;
begin
    told := identity_audit_actor();
    if tg_op = 'UPDATE' then
        insert into audit_log (id, brand_id, actor_user_id, actor_kind, actor_name, db_role, action, entity_type,
                               entity_id, before, after, ip_address, user_agent, request_id, created_at)
        with
            was as materialized (select to_jsonb(o) as row from old_rows o),
            now as materialized (select to_jsonb(n) as row from new_rows n)
        select identity_new_id(at), coalesce((now.row->>belongs)::uuid, scope),
               told.user_id, told.kind, told.name, session_user, action, entity,
               case when pg_input_is_valid(now.row->>key, 'uuid') then (now.row->>key)::uuid end,
               diff.before, diff.after, told.ip_address, told.user_agent, told.request_id, at
        from was
        join now on now.row->>key = was.row->>key
        cross join lateral (
            select jsonb_object_agg(name, case when shown then was.row->name else '"***"' end) as before,
                   jsonb_object_agg(name, case when shown then value else '"***"' end) as after
            from (
                select name, value, name <> all (hidden) and name !~ secret as shown
                from jsonb_each(now.row) as one(name, value)
                -- A key that is no UUID says here which row it was.
                where (value is distinct from was.row->name and name <> all (ignored))
                   or (name = key and not pg_input_is_valid(value #>> '{}', 'uuid'))
            ) as changed
        ) as diff
        where was.row - ignored <> now.row - ignored;
    elsif tg_op = 'INSERT' then
        insert into audit_log (id, brand_id, actor_user_id, actor_kind, actor_name, db_role, action, entity_type,
                               entity_id, before, after, ip_address, user_agent, request_id, created_at)
        with now as materialized (select to_jsonb(n) as row from new_rows n)
        select identity_new_id(at), coalesce((now.row->>belongs)::uuid, scope),
               told.user_id, told.kind, told.name, session_user, action, entity,
               case when pg_input_is_valid(now.row->>key, 'uuid') then (now.row->>key)::uuid end,
               null, shown.row, told.ip_address, told.user_agent, told.request_id, at
        from now cross join lateral (
            select jsonb_object_agg(name, case when name = any (hidden) or name ~ secret then '"***"' else value end)
                   as row
            from jsonb_each(now.row) as one(name, value)
        ) as shown;
    else
        insert into audit_log (id, brand_id, actor_user_id, actor_kind, actor_name, db_role, action, entity_type,
                               entity_id, before, after, ip_address, user_agent, request_id, created_at)
        with was as materialized (select to_jsonb(o) as row from old_rows o)
        select identity_new_id(at), coalesce((was.row->>belongs)::uuid, scope),
               told.user_id, told.kind, told.name, session_user, action, entity,
               case when pg_input_is_valid(was.row->>key, 'uuid') then (was.row->>key)::uuid end,
               shown.row, null, told.ip_address, told.user_agent, told.request_id, at
        from was cross join lateral (
            select jsonb_object_agg(name, case when name = any (hidden) or name ~ secret then '"***"' else value end)
                   as row
            from jsonb_each(was.row) as one(name, value)
        ) as shown;
    end if;
    return null;
end $$
"""

# What is no change of a row: sign-in, sign-out, export. Given a person, each brand of theirs hears of it. Changes have their own names, which nobody can say here.
ACTION = """
create function identity_audit_action(what text, entity text, subject uuid, detail jsonb, person uuid)
returns void language plpgsql security definer set search_path = public, pg_temp as $$
declare
    at constant timestamptz := clock_timestamp();
    scope constant uuid := nullif(current_setting('app.brand_id', true), '')::uuid;
    told record;
begin
    if what in ('CREATE', 'UPDATE', 'DELETE', 'MASK', 'RETENTION') then
        raise exception 'the database itself records %', what using errcode = 'insufficient_privilege';
    end if;
    told := identity_audit_actor();
    insert into audit_log (id, brand_id, actor_user_id, actor_kind, actor_name, db_role, action, entity_type,
                           entity_id, before, after, ip_address, user_agent, request_id, created_at, chain)
    select identity_new_id(at), brand, told.user_id, told.kind, told.name, session_user, what, entity, subject,
           null, detail, told.ip_address, told.user_agent, told.request_id, at,
           case when what in ('LOGIN', 'LOGOUT', 'LOGIN_FAILED') then 'access' else 'changes' end
    from (
        select distinct r.brand_id as brand from identity_userrole r where r.user_id = person
        union all
        select scope where not exists (select from identity_userrole r where r.user_id = person)
    ) as brands;
end $$
"""

# What a seal is made of. Values take part as digests with a salt of their own, so that masking them, which forgets the
# salt, leaves nothing to guess at and the chain as it was.
DIGEST = """
create function identity_audit_digest(salt bytea, told text) returns bytea
language sql immutable as $$
    select sha256(salt || convert_to(coalesce(told, ''), 'UTF8'))
$$;
create function identity_audit_link(previous bytea, entry audit_log) returns bytea
language sql stable as $$
    select sha256(previous || convert_to(jsonb_build_array(
        entry.id, entry.brand_id, entry.actor_user_id, entry.actor_kind, entry.actor_name, entry.db_role, entry.action,
        entry.entity_type, entry.entity_id, entry.request_id, extract(epoch from entry.created_at)::text, entry.chain,
        encode(entry.before_digest, 'hex'), encode(entry.after_digest, 'hex'), encode(entry.origin_digest, 'hex')
    )::text, 'UTF8'))
$$
"""

SEAL = """
create function identity_audit_seal(at_most int) returns int
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    head audit_chain;
    entry audit_log;
    sealed int := 0;
begin
    insert into audit_chain (chain, sealed_number, seal, cut_number, cut_seal)
    values ('access', 0, '', 0, ''), ('changes', 0, '', 0, '') on conflict do nothing;
    for head in select * from audit_chain order by chain for update loop
        for entry in
            select * from audit_log where seal is null and chain = head.chain order by created_at, id limit at_most
        loop
            entry.salt := uuid_send(gen_random_uuid());
            entry.origin_salt := uuid_send(gen_random_uuid());
            entry.before_digest := identity_audit_digest(entry.salt, entry.before::text);
            entry.after_digest := identity_audit_digest(entry.salt, entry.after::text);
            entry.origin_digest :=
                identity_audit_digest(entry.origin_salt, concat_ws(' ', host(entry.ip_address), entry.user_agent));
            head.seal := identity_audit_link(head.seal, entry);
            head.sealed_number := head.sealed_number + 1;
            update audit_log set salt = entry.salt, origin_salt = entry.origin_salt, before_digest = entry.before_digest,
                   after_digest = entry.after_digest, origin_digest = entry.origin_digest,
                   seal_number = head.sealed_number, seal = head.seal
            where id = entry.id;
            sealed := sealed + 1;
        end loop;
        update audit_chain set sealed_number = head.sealed_number, seal = head.seal where chain = head.chain;
    end loop;
    return sealed;
end $$
"""

# One row for each chain: how many entries stand, and where and how it is broken, if it is. `known` are the ends of the
# chains that an earlier look wrote down, {chain: [number, seal]}: a chain made anew from end to end does not have them.
VERIFY = """
create function identity_audit_verify(known jsonb)
returns table (chain text, standing bigint, head bigint, head_seal text, broken_at bigint, trouble text)
language sql stable security definer set search_path = public, pg_temp as $$
    with linked as (
        select a.chain, a.seal_number, a.seal, a as entry, c.cut_number, c.cut_seal,
               lag(a.seal_number) over w as number_before, lag(a.seal) over w as seal_before
        from audit_log a join audit_chain c on c.chain = a.chain
        where a.seal is not null
        window w as (partition by a.chain order by a.seal_number)
    ), judged as (
        select l.chain, l.seal_number,
            case
                when l.seal_number <> coalesce(l.number_before, l.cut_number) + 1 then 'missing before'
                when l.seal <> identity_audit_link(coalesce(l.seal_before, l.cut_seal), l.entry) then 'altered'
                when ((l.entry).salt is null or (l.entry).origin_salt is null) and not exists (
                    select from audit_log m where m.id = (l.entry).masked_by and m.action = 'MASK'
                ) then 'masked by nobody'
                -- Nothing equals the digest with a salt that is forgotten, and nothing need.
                when (l.entry).before_digest <> identity_audit_digest((l.entry).salt, (l.entry).before::text)
                  or (l.entry).after_digest <> identity_audit_digest((l.entry).salt, (l.entry).after::text)
                  or (l.entry).origin_digest <> identity_audit_digest(
                        (l.entry).origin_salt, concat_ws(' ', host((l.entry).ip_address), (l.entry).user_agent))
                then 'altered'
            end as trouble
        from linked l
    ), remembered as (
        select c.chain, (known->c.chain->>0)::bigint as number
        from audit_chain c
        where (known->c.chain->>0)::bigint >= c.cut_number
          and known->c.chain->>1 is distinct from coalesce(
              (select encode(a.seal, 'hex') from audit_log a
               where a.chain = c.chain and a.seal_number = (known->c.chain->>0)::bigint),
              case when (known->c.chain->>0)::bigint = c.cut_number then encode(c.cut_seal, 'hex') end)
    ), summed as (
        select j.chain, count(*) as standing, max(j.seal_number) as last,
               min(j.seal_number) filter (where j.trouble is not null) as broken_at
        from judged j group by j.chain
    )
    select c.chain, coalesce(s.standing, 0), c.sealed_number, encode(c.seal, 'hex'),
           coalesce(s.broken_at, case when c.sealed_number <> coalesce(s.last, c.cut_number) then c.sealed_number end,
                    r.number),
           coalesce((select j.trouble from judged j where j.chain = c.chain and j.seal_number = s.broken_at),
                    case when c.sealed_number <> coalesce(s.last, c.cut_number) then 'missing after' end,
                    case when r.number is not null then 'made anew' end, '')
    from audit_chain c left join summed s on s.chain = c.chain left join remembered r on r.chain = c.chain
    order by c.chain
$$
"""

# Erasure: the values of entries about these rows or with these texts, and address and browser of the entries of these
# people, in the open brand and where no brand was. It is itself an entry, which the masked ones name.
MASK = """
create function identity_audit_mask(subjects uuid[], people uuid[], texts text[], reason text) returns int
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    at constant timestamptz := clock_timestamp();
    scope constant uuid := nullif(current_setting('app.brand_id', true), '')::uuid;
    act constant uuid := identity_new_id(at);
    told record;
    found_texts text[];
    masked int;
begin
    -- What the erasing transaction itself has written holds the values too: it is sealed here, before its time.
    while identity_audit_seal(10000) > 0 loop end loop;
    told := identity_audit_actor();
    select array_agg(trim('"' from to_jsonb(lower(wanted))::text)) into found_texts
    from unnest(texts) wanted where wanted <> '';
    with wanted as materialized (
        select a.id, a.actor_user_id = any (people) or a.entity_id = any (subjects) as origin,
               a.entity_id = any (subjects) or exists (
                   select from unnest(found_texts) t
                   where position(t in lower(a.before::text)) > 0 or position(t in lower(a.after::text)) > 0
               ) as content
        from audit_log a where (a.brand_id = scope or a.brand_id is null) and a.action <> 'MASK'
    )
    update audit_log a
    set before = case when w.content then (select jsonb_object_agg(name, '***'::text)
                                           from jsonb_object_keys(a.before) name) else a.before end,
        after = case when w.content then (select jsonb_object_agg(name, '***'::text)
                                          from jsonb_object_keys(a.after) name) else a.after end,
        salt = case when w.content then null else a.salt end,
        ip_address = case when w.origin then null else a.ip_address end,
        user_agent = case when w.origin then '' else a.user_agent end,
        origin_salt = case when w.origin then null else a.origin_salt end,
        masked_at = at, masked_by = act
    from wanted w
    where a.id = w.id and ((w.content and a.salt is not null) or (w.origin and a.origin_salt is not null));
    get diagnostics masked = row_count;
    insert into audit_log (id, brand_id, actor_user_id, actor_kind, actor_name, db_role, action, entity_type,
                           after, ip_address, user_agent, request_id, created_at)
    values (act, scope, told.user_id, told.kind, told.name, session_user, 'MASK', 'audit_log',
            jsonb_build_object('entries', masked, 'reason', reason), told.ip_address, told.user_agent,
            told.request_id, at);
    return masked;
end $$
"""

# Retention: whole beginnings of a chain, so that what is left still verifies from where it was cut.
FORGET = """
create function identity_audit_forget(at timestamptz) returns table (chain text, forgotten bigint)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    head audit_chain;
    last record;
    deleted bigint;
begin
    for head in select * from audit_chain order by chain for update loop
        select a.seal_number, a.seal into last from audit_log a
        where a.chain = head.chain and a.seal_number < coalesce(
            (select min(k.seal_number) from audit_log k where k.chain = head.chain and k.seal is not null
               and k.created_at >= least(at, now()) - identity_audit_term(head.chain)), head.sealed_number + 1)
        order by a.seal_number desc limit 1;
        if found then
            delete from audit_log a where a.chain = head.chain and a.seal_number <= last.seal_number;
            get diagnostics deleted = row_count;
            update audit_chain c set cut_number = last.seal_number, cut_seal = last.seal where c.chain = head.chain;
            insert into audit_log (id, actor_kind, actor_name, db_role, action, entity_type, after, user_agent,
                                   request_id, created_at)
            select identity_new_id(clock_timestamp()), told.kind, told.name, session_user, 'RETENTION', 'audit_log',
                   jsonb_build_object('chain', head.chain, 'entries', deleted, 'up_to', last.seal_number), '',
                   told.request_id, clock_timestamp()
            from identity_audit_actor() told;
            chain := head.chain; forgotten := deleted;
            return next;
        end if;
    end loop;
end $$
"""

# What nobody may do to an entry, the schema's owner included: anything but sealing it once, masking it once sealed, and
# deleting it when its term is over (GD-33).
GUARD = """
create function identity_audit_term(chain text) returns interval language sql immutable as $$
    select case chain when 'access' then interval '12 months' else interval '24 months' end
$$;
create function identity_audit_guard() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
    sealed constant text[] := '{salt,origin_salt,before_digest,after_digest,origin_digest,seal_number,seal}';
    masked constant text[] := '{before,after,ip_address,user_agent,salt,origin_salt,masked_at,masked_by}';
begin
    if tg_op = 'DELETE' and old.seal is not null and old.created_at < now() - identity_audit_term(old.chain) then
        return old;
    elsif tg_op = 'UPDATE' and (
        (old.seal is null and new.seal is not null and to_jsonb(old) - sealed = to_jsonb(new) - sealed)
        or (old.seal is not null and new.masked_by is distinct from old.masked_by
            and (new.salt is null or new.origin_salt is null)
            and to_jsonb(old) - masked = to_jsonb(new) - masked)
    ) then
        return new;
    end if;
    raise exception 'the audit log is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger audit_log_is_kept before update or delete on audit_log
    for each row execute function identity_audit_guard();
create trigger audit_log_is_not_emptied before truncate on audit_log
    for each statement execute function identity_audit_guard()
"""

# A trigger function that runs as the owner is nobody's to attach elsewhere, and the parts are for the whole only.
OWN_FUNCTIONS = """
do $$
declare
    held record;
begin
    for held in
        select p.oid::regprocedure as name, a.grantee::regrole as role from pg_proc p, aclexplode(p.proacl) a
        where p.proname in ('identity_audit_change', 'identity_audit_guard') and a.grantee not in (0, p.proowner)
    loop
        execute format('revoke execute on function %s from %s', held.name, held.role);
    end loop;
end $$
"""

DROP = """
drop trigger audit_log_is_kept on audit_log;
drop trigger audit_log_is_not_emptied on audit_log;
drop function identity_audit_guard();
drop function identity_audit_forget(timestamptz);
drop function identity_audit_term(text);
drop function identity_audit_mask(uuid[], uuid[], text[], text);
drop function identity_audit_verify(jsonb);
drop function identity_audit_seal(int);
drop function identity_audit_link(bytea, audit_log);
drop function identity_audit_digest(bytea, text);
drop function identity_audit_action(text, text, uuid, jsonb, uuid);
drop function identity_audit_change();
drop function identity_audit_actor();
drop function identity_new_id(timestamptz)
"""


class Migration(migrations.Migration):
    dependencies = [("identity", "0006_vault_and_keys"), ("platform", "0002_brand_isolation")]
    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(null=True)),
                ("actor_user_id", models.UUIDField(null=True)),
                ("actor_kind", models.CharField(max_length=20)),
                ("actor_name", models.CharField(default="", max_length=200)),
                ("db_role", models.CharField(max_length=63)),
                ("action", models.CharField(max_length=100)),
                ("entity_type", models.CharField(max_length=50)),
                ("entity_id", models.UUIDField(null=True)),
                ("before", models.JSONField(null=True)),
                ("after", models.JSONField(null=True)),
                ("ip_address", models.GenericIPAddressField(null=True)),
                ("user_agent", models.TextField(default="")),
                ("request_id", models.CharField(default="", max_length=255)),
                ("created_at", models.DateTimeField()),
                ("chain", models.CharField(db_default="changes", default="changes", max_length=10)),
                ("salt", models.BinaryField(null=True)),
                ("origin_salt", models.BinaryField(null=True)),
                ("before_digest", models.BinaryField(null=True)),
                ("after_digest", models.BinaryField(null=True)),
                ("origin_digest", models.BinaryField(null=True)),
                ("seal_number", models.BigIntegerField(null=True)),
                ("seal", models.BinaryField(null=True)),
                ("masked_at", models.DateTimeField(null=True)),
                ("masked_by", models.UUIDField(null=True)),
            ],
            options={
                "db_table": "audit_log",
                "indexes": [
                    models.Index(
                        fields=["brand_id", "actor_user_id", "-created_at", "-id"], name="idx_audit_logs_user"
                    ),
                    models.Index(
                        fields=["brand_id", "entity_type", "entity_id", "-created_at", "-id"],
                        name="idx_audit_logs_entity",
                    ),
                    models.Index(fields=["brand_id", "-created_at", "-id"], name="idx_audit_logs_created"),
                    models.Index(
                        fields=["chain", "created_at", "id"],
                        name="audit_unsealed",
                        condition=models.Q(seal__isnull=True),
                    ),
                    models.Index(fields=["chain", "seal_number"], name="audit_sealed"),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditChain",
            fields=[
                ("chain", models.CharField(max_length=10, primary_key=True, serialize=False)),
                ("sealed_number", models.BigIntegerField()),
                ("seal", models.BinaryField()),
                ("cut_number", models.BigIntegerField()),
                ("cut_seal", models.BinaryField()),
            ],
            options={"db_table": "audit_chain"},
        ),
        migrations.RunSQL(ISOLATED, migrations.RunSQL.noop),
        migrations.RunSQL(READ_ONLY, migrations.RunSQL.noop),
        migrations.RunSQL(
            [NEW_ID, ACTOR, CHANGE, ACTION, DIGEST, SEAL, VERIFY, MASK, GUARD, FORGET, OWN_FUNCTIONS], DROP
        ),
        Audited("identity_brand", "brands"),
        Audited("identity_user", "users", ignored=["last_login"]),
        Audited("identity_userrole", "user_roles"),
        Audited("identity_userprofile", "user_profiles"),
        Audited(
            "identity_vaultkey",
            "api_keys",
            ignored=["last_used_at", "key_version"],
            hidden=["ciphertext", "nonce"],
        ),
        Audited("identity_apikey", "access_keys", ignored=["last_used_at"], hidden=["key_hash"]),
        Audited("platform_sitesetting", "site_settings"),
    ]
