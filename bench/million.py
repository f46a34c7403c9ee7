"""Fill a brand with people by the million, set by set, past row security.

`python -m bench.million '{"brand_id": …, "contacts": 1000000, "open_deals": 20000, …}'`. What is made looks like what
intake makes: a person with a number, one lead event, one deal with its stay in a stage, work done on some. Ids are
computed from the number of the row, so that no set has to read another one.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django

django.setup()

import orjson  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import JSONField, Model  # noqa: E402
from django.db.models.fields import NOT_PROVIDED  # noqa: E402

from bench.leads import FIRST_NAMES, LAST_NAMES  # noqa: E402
from bench.million_people import FIRST_PERSON  # noqa: E402
from filiera.contacts.models import Contact, ContactPhone  # noqa: E402
from filiera.pipeline.models import Activity, Deal, LeadEvent, Stage, StageHistory  # noqa: E402

CONNECTIONS = 3


def main(options: dict[str, Any]) -> None:
    """Fill one brand. `first` moves the people's numbers, so that several brands may be filled."""
    in_order = Stage.objects.order_by("order_index")
    stages = list(in_order.filter(brand_id=options["brand_id"], lead_state__isnull=False))
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        for done in [threads.submit(_run, statement) for statement in _statements(options, stages)]:
            done.result()
    with connection.cursor() as cursor:
        # As it would stand a while after people came one by one: statistics taken, everything on disk.
        cursor.execute("vacuum (analyze)")
        cursor.execute("checkpoint")


def _run(statement: str) -> None:
    try:
        with connection.cursor() as cursor:
            # References hold by construction: their checks would cost as much as the rows.
            cursor.execute("set session_replication_role = replica")
            cursor.execute(statement)
    finally:
        connection.close()


def _statements(options: dict[str, Any], stages: list[Stage]) -> Iterator[str]:
    """Yield one insert for each table."""
    total, open_deals, first = options["contacts"], options["open_deals"], options.get("first", FIRST_PERSON)
    owners, sources = options["agent_user_ids"], options["marketing_source_ids"]
    active = [stage for stage in stages if stage.lead_state not in ("chiuso_vinto", "perso")]
    # Person n came n minutes ago (a million of them: about two years); the newest have their deal still open.
    at = f"now() - make_interval(secs => 60.0 * (n - {first}))"
    is_open = f"n - {first} < {open_deals}"
    is_won = "n % 4 = 0"
    first_name, last_name = _pick(FIRST_NAMES, "n"), f"{_pick(LAST_NAMES, 'n / 7')} || ' ' || (n % 977)"
    owner, source = f"({_pick(owners, 'n')})::uuid", f"({_pick(sources, 'n')})::uuid"
    open_stage = f"({_pick([str(stage.id) for stage in active], 'n')})::uuid"
    closed_stage = (
        f"case when {is_won} then '{_of(stages, 'chiuso_vinto')}' else '{_of(stages, 'perso')}' end::uuid"
    )
    stage = f"case when {is_open} then {open_stage} else {closed_stage} end"
    open_state = _pick([str(stage.lead_state) for stage in active], "n")
    state = f"case when {is_open} then {open_state} when {is_won} then 'chiuso_vinto' else 'perso' end"
    contact, deal = _id("contact"), _id("deal")
    email = "'persona' || lpad(n::text, 9, '0') || '@posta.example'"
    mobile = "'3' || (20 + n / 10000000) || lpad((n % 10000000)::text, 7, '0')"
    moments = {"created_at": at, "updated_at": at}

    def insert(model: type[Model], many: int, **expressions: str) -> str:
        return _insert(model, options["brand_id"], first, many, **expressions)

    yield insert(
        Contact,
        total,
        id=contact,
        first_name=first_name,
        last_name=last_name,
        name_key=f"lower({first_name} || ' ' || {last_name})",
        surname_key=f"lower({last_name} || ' ' || {first_name})",
        email=email,
        email_norm=email,
        city="'Trieste'",
        status=state,
        marketing_source_id=source,
        assigned_user_id=owner,
        last_lead_at=at,
        **moments,
    )
    yield insert(
        ContactPhone,
        total,
        id=_id("phone"),
        contact_id=contact,
        phone_raw=mobile,
        phone_norm=mobile,
        country_code="'IT'",
        assumed_country="true",
        phone_e164=f"'+39' || {mobile}",
        is_match_key="true",
        is_primary="true",
        created_at=at,
    )
    yield insert(
        Deal,
        total,
        id=deal,
        contact_id=contact,
        status=f"case when {is_open} then 'open' when {is_won} then 'won' else 'lost' end",
        current_stage_id=stage,
        title="'PRO'",
        amount="(300 + n % 4000)::numeric",
        owner_user_id=owner,
        lost_reason=f"case when {is_open} or {is_won} then '' else 'prezzo' end",
        stage_entered_at=at,
        opened_at=at,
        closed_at=f"case when {is_open} then null else {at} end",
        **moments,
    )
    yield insert(
        StageHistory,
        total,
        id=_id("history"),
        deal_id=deal,
        stage_id=stage,
        entered_at=at,
        changed_by="'intake'",
        change_reason="'created'",
        created_at=at,
    )
    yield insert(
        LeadEvent,
        total,
        id=_id("event"),
        contact_id=contact,
        deal_id=deal,
        source=f"'{options['source']}'",
        external_id="'archivio:' || n",
        marketing_source_id=source,
        occurred_at=at,
        received_at=at,
        requested_service="'PRO'",
        **moments,
    )
    yield insert(
        Activity,
        total // 5,
        id=_id("activity"),
        contact_id=contact,
        deal_id=deal,
        type="case when n % 2 = 0 then 'chiamata' else 'nota' end",
        status="case when n % 3 = 0 then 'planned' else 'done' end",
        title="'Richiamare'",
        user_id=owner,
        owner_user_id=owner,
        scheduled_at=f"case when n % 3 = 0 then {at} + interval '2 days' end",
        occurred_at=f"case when n % 3 = 0 then null else {at} end",
        **moments,
    )


def _insert(model: type[Model], brand_id: str, first: int, total: int, **expressions: str) -> str:
    """Return the insert of one row for each n; what is not given takes the model's own default."""
    expressions["brand_id"] = f"'{brand_id}'::uuid"
    columns, values = [], []
    for field in model._meta.concrete_fields:
        columns.append(f'"{field.column}"')
        if field.attname in expressions:
            values.append(expressions[field.attname])
        elif field.default is NOT_PROVIDED or field.null:
            values.append("null" if field.null else "now()" if "Date" in type(field).__name__ else "''")
        else:
            values.append(_literal(field, field.get_default()))
    return (
        f'insert into "{model._meta.db_table}" ({", ".join(columns)}) '
        f"select {', '.join(values)} from generate_series({first}, {first + total - 1}) as n"
    )


def _literal(field: Any, value: Any) -> str:
    if isinstance(field, JSONField):
        return f"'{orjson.dumps(value).decode()}'::jsonb"
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, list):
        return "'{}'"
    return "'" + str(value).replace("'", "''") + "'"


def _pick(choices: Any, number: str) -> str:
    listed = ", ".join(f"'{choice}'" for choice in choices)
    return f"(array[{listed}])[1 + ({number}) % {len(choices)}]"


def _id(what: str) -> str:
    """Return the SQL of the id of row n: a UUID of version 7 whose time falls as n grows, as the row's own does."""
    moment = "lpad(to_hex(1767225600000 - 60000::bigint * (n % 50000000)), 12, '0')"
    digest = f"md5('{what}' || n)"
    return f"({moment} || '7' || substr({digest}, 1, 3) || '8' || substr({digest}, 4, 15))::uuid"


def _of(stages: list[Stage], state: str) -> str:
    return str(next((stage.id for stage in stages if stage.lead_state == state), stages[-1].id))


if __name__ == "__main__":
    main(orjson.loads(sys.argv[1]))
