"""The record of who did what (IDN-32, IDN-33): the database writes it, whoever asks and however."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from filiera import operators
from filiera.contacts.models import Contact
from filiera.identity import audit, tasks, vault
from filiera.identity.models import AuditEntry, Brand, User, VaultKey
from filiera.journeys import lead_in
from filiera.pipeline.models import Activity, Deal
from filiera.platform import actor, brand_scope
from filiera.platform.jobs import brand_task
from filiera.platform.models import JobRun
from tests.leads import incoming, take_in

BROWSER = "Mozilla/5.0 (prova)"


@brand_task()
def _move_to_spinea(contact_id: str) -> None:
    Contact.objects.filter(id=contact_id).update(city="Spinea")


@pytest.fixture
def adele(vegliasi: Any, people: Any) -> Contact:
    with brand_scope.use(vegliasi.id):
        return take_in(incoming())[0].contact


@pytest.fixture
def owner(db: None) -> Iterator[psycopg.Connection]:
    """Return a connection as the schema's owner, who may do everything, whose changes are undone."""
    with psycopg.connect(settings.DATABASE_URLS.owner) as opened:
        yield opened
        opened.rollback()


def entries(brand: Brand, **wanted: Any) -> list[AuditEntry]:
    with brand_scope.use(brand.id):
        return list(AuditEntry.objects.filter(**wanted).order_by("created_at", "id"))


def only(brand: Brand, **wanted: Any) -> AuditEntry:
    found = entries(brand, **wanted)
    assert len(found) == 1, [(one.action, one.entity_type, one.before, one.after) for one in found]
    return found[0]


def sql(text: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, values)


def test_ten_changes_by_page_api_job_command_and_sql_are_all_there(
    vegliasi: Any, adele: Contact, ada: User, bea: User, signed_in: Callable[[Any], Client], monkeypatch: Any
) -> None:
    headers = {"User-Agent": BROWSER, "X-Request-ID": "req-prova"}
    bea_s, ada_s = signed_in(bea), signed_in(ada)
    api: dict[str, Any] = {"content_type": "application/json", "headers": headers}
    since = timezone.now()

    # 1 to 3: pages
    bea_s.post(f"/leads/{adele.id}/fields/city", {"value": "Noale", "was": ""}, headers=headers)
    bea_s.post("/me/preferences", {"theme": "dark"}, headers=headers)
    note = {"tipo": "nota", "nota": "Richiamare"}
    bea_s.post(f"/leads/{adele.id}/activities", note, headers=headers)
    # 4 to 7: API
    made = ada_s.post("/api/v1/capture/sources", {"name": "autunno", "kind": "webhook"}, **api)
    source_id = made.json()["data"]["id"]
    ada_s.patch(f"/api/v1/capture/sources/{source_id}", {"label": "Autunno"}, **api)
    ada_s.post(f"/api/v1/capture/sources/{source_id}/rotate-key", **api)
    ada_s.delete(f"/api/v1/capture/sources/{source_id}", **api)
    # 8: a job
    _move_to_spinea.func(brand_id=str(vegliasi.id), contact_id=str(adele.id))
    # 9: a command
    monkeypatch.setattr(operators, "say", lambda sentence: None)
    operators.open_brand(name="Terza", slug="terza", owner_email="dora@terza.example", owner_name="Dora")
    # 10: SQL by hand
    with brand_scope.use(vegliasi.id):
        sql("delete from pipeline_activity where contact_id = %s", adele.id)

    def about(entity: str, action: str, at: Any = None, **wanted: Any) -> AuditEntry:
        found = only(vegliasi, entity_type=entity, action=action, created_at__gte=since, **wanted)
        if found.actor_kind == "person":
            assert (found.ip_address, found.user_agent, found.request_id) == (
                "127.0.0.1",
                BROWSER,
                "req-prova",
            )
        return found

    city = about("contacts", "UPDATE", actor_kind="person")
    assert (city.entity_id, city.actor_user_id, city.actor_name, city.before, city.after) == (
        *(adele.id, bea.id, ""),
        *({"city": ""}, {"city": "Noale"}),
    )
    look = about("users", "UPDATE", actor_user_id=bea.id, after__has_key="theme")
    assert (look.before, look.after) == ({"theme": "auto"}, {"theme": "dark"})
    activity = about("activities", "CREATE", actor_user_id=bea.id)
    assert activity.before is None
    assert activity.after is not None
    assert (activity.after["type"], activity.after["note"]) == ("nota", "Richiamare")
    created = about("sources", "CREATE")
    assert created.actor_user_id == ada.id
    assert created.after is not None
    assert (created.after["name"], created.after["api_key_hash"]) == ("autunno", "***")
    label = about("sources", "UPDATE", after__has_key="label")
    assert (label.before, label.after) == ({"label": ""}, {"label": "Autunno"})
    rotated = about("sources", "UPDATE", after__has_key="api_key_hash")
    assert rotated.after is not None
    assert rotated.after["api_key_hash"] == "***"
    deleted = about("sources", "DELETE")
    assert deleted.after is None
    assert deleted.before is not None
    assert (str(deleted.entity_id), deleted.before["label"]) == (source_id, "Autunno")
    job = about("contacts", "UPDATE", actor_kind="job")
    assert (job.actor_name, job.before, job.after) == (
        *("tests.identity.test_audit._move_to_spinea",),
        *({"city": "Noale"}, {"city": "Spinea"}),
    )
    third = Brand.objects.get(slug="terza")
    opened = only(third, entity_type="brands")
    assert opened.actor_kind == "command"
    assert opened.actor_name.startswith("filiera brand (")
    assert only(third, entity_type="user_roles").actor_kind == "command"
    by_hand = about("activities", "DELETE")
    assert (by_hand.actor_kind, by_hand.db_role) == ("sql", "filiera_app")
    assert by_hand.before is not None
    assert by_hand.before["note"] == "Richiamare"


def test_a_statement_over_many_rows_leaves_a_line_for_each(in_vegliasi: Any) -> None:
    take_in(*(incoming(phone=f"351 {n:07d}", email=f"n{n}@posta.example") for n in range(5)))
    Contact.objects.update(city="Dolo", updated_at=timezone.now())
    changed = AuditEntry.objects.filter(entity_type="contacts", action="UPDATE", after={"city": "Dolo"})
    assert len({one.entity_id for one in changed}) == 5
    before = AuditEntry.objects.count()
    Contact.objects.update(city="Dolo", updated_at=timezone.now())
    assert AuditEntry.objects.count() == before, "what stayed as it was is no change"


def test_the_machine_on_the_lead_path_leaves_lines_of_settings_only(vegliasi: Any, people: Any) -> None:
    with brand_scope.use(vegliasi.id):
        incoming()
        seen = AuditEntry.objects.count()
    with actor.acting(actor.Actor(actor.MACHINE, "prova")), brand_scope.use(vegliasi.id):
        lead = take_in(incoming(phone="351 0000099", email="n99@posta.example"))[0]
        Deal.objects.filter(id=lead.deal.id).update(title="Altro")
        Activity.objects.all().delete()
        lead_in.drain(worker="prova")
        written = AuditEntry.objects.order_by("created_at")[seen:]
        assert {one.entity_type for one in written} <= {"sources"}
        vault.store(service="prova", secret="riservatissimo")
        key = AuditEntry.objects.get(entity_type="api_keys")
    assert (key.actor_kind, key.actor_name) == ("machine", "prova")


def test_secrets_are_never_shown(vegliasi: Any, ada: User) -> None:
    with brand_scope.use(vegliasi.id):
        ada.set_password("un’altra parola lunga")
        ada.save()
        key = vault.store(service="prova", secret="riservatissimo")
        VaultKey.objects.filter(id=key.id).update(ciphertext=b"altro")
    changed = only(vegliasi, entity_type="users", action="UPDATE")
    assert (changed.before, changed.after) == ({"password": "***"}, {"password": "***"})
    stored = only(vegliasi, entity_type="api_keys", action="CREATE")
    assert stored.after is not None
    assert (stored.after["ciphertext"], stored.after["nonce"], stored.after["last4"]) == (
        "***",
        "***",
        "simo",
    )
    assert only(vegliasi, entity_type="api_keys", action="UPDATE").after == {"ciphertext": "***"}


def test_another_brand_and_no_brand_see_none_of_it(vegliasi: Any, quadranorma: Any, adele: Contact) -> None:
    assert entries(vegliasi)
    for scope in (quadranorma.id, None):
        with brand_scope.use(scope):
            assert not AuditEntry.objects.filter(entity_id=adele.id).exists()


@pytest.mark.parametrize(
    "statement",
    [
        "update audit_log set after = '{}'",
        "update audit_log set seal = 'x'",
        "delete from audit_log",
        "insert into audit_log (id, actor_kind, db_role, action, entity_type, created_at)"
        " values (gen_random_uuid(), 'sql', 'x', 'UPDATE', 'users', now())",
        "update audit_chain set sealed_number = 0",
        "delete from audit_chain",
        "alter table contacts_contact disable trigger audit_update",
        "alter table audit_log disable trigger all",
        "drop trigger audit_update on contacts_contact",
        "select identity_audit_action('UPDATE', 'users', null, null, null)",
        "create temp table mine (id int); create trigger t after insert on mine for each statement"
        " execute function identity_audit_change('users', 'id', '{}', '{}')",
        "set session_replication_role = replica",
    ],
)
def test_the_runtime_role_can_neither_change_nor_delete_nor_forge_a_line(
    vegliasi: Any, adele: Contact, statement: str
) -> None:
    kept = entries(vegliasi)
    with brand_scope.use(vegliasi.id):
        with pytest.raises(DatabaseError) as refusal, transaction.atomic():
            sql(statement)
        assert getattr(refusal.value.__cause__, "sqlstate", "") == "42501"
    assert [(one.id, one.after) for one in entries(vegliasi)] == [(one.id, one.after) for one in kept]


# Chains, retention and masking, as the owner: everything is undone


def write(owner: psycopg.Connection, *, at: str = "", chain: str = "changes", **after: str) -> Any:
    """Write a line of some moment, which only the owner can, and return its id."""
    at = at or str(timezone.now())
    [line] = owner.execute(
        "insert into audit_log (id, actor_kind, actor_name, db_role, action, entity_type, entity_id, after, ip_address,"
        " user_agent, request_id, created_at, chain) values (identity_new_id(%s), 'sql', '', 'x',"
        " 'UPDATE', 'users', gen_random_uuid(), %s, '203.0.113.9', 'Prova', '', %s, %s) returning id",
        [at, json.dumps(after), at, chain],
    ).fetchall()
    return line[0]


def sealed(owner: psycopg.Connection, many: int = 3) -> list[Any]:
    lines = [write(owner, name=f"Ada {n}") for n in range(many)]
    owner.execute("select identity_audit_seal(1000)")
    return lines


def chains(owner: psycopg.Connection, known: Any = None) -> dict[str, tuple[Any, ...]]:
    """Return what the verification says of each chain: lines standing, where it is broken, and how."""
    rows = owner.execute(
        "select chain, standing, broken_at, trouble from identity_audit_verify(%s)", [json.dumps(known or {})]
    )
    return {name: tuple(rest) for name, *rest in rows}


def by_force(owner: psycopg.Connection, statement: str, *values: Any) -> None:
    """Do what only somebody with the owner's password and bad intentions does."""
    owner.execute("alter table audit_log disable trigger audit_log_is_kept")
    owner.execute(statement, values)
    owner.execute("alter table audit_log enable trigger audit_log_is_kept")


def test_not_even_the_owner_changes_or_deletes_a_line_in_passing(owner: psycopg.Connection) -> None:
    sealed(owner)
    write(owner, at="2020-01-01")
    for statement in (
        "update audit_log set after = '{}'",
        "update audit_log set created_at = created_at - interval '3 years'",
        "delete from audit_log",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), owner.transaction():
            owner.execute(statement)


def test_seals_follow_each_other_and_verify(owner: psycopg.Connection) -> None:
    sealed(owner, 3)
    sealed(owner, 2)
    write(owner, chain="access")
    assert chains(owner) == {"access": (0, None, ""), "changes": (5, None, "")}
    owner.execute("select identity_audit_seal(1000)")
    assert chains(owner)["access"] == (1, None, "")


@pytest.mark.parametrize(
    ("force", "told"),
    [
        ('update audit_log set after = \'{"name": "Eva"}\' where id = %s', (3, 2, "altered")),
        ("update audit_log set actor_user_id = gen_random_uuid() where id = %s", (3, 2, "altered")),
        ("update audit_log set ip_address = '203.0.113.10' where id = %s", (3, 2, "altered")),
        ("update audit_log set created_at = created_at - interval '1 s' where id = %s", (3, 2, "altered")),
        ("update audit_log set after = null, salt = null where id = %s", (3, 2, "masked by nobody")),
        ("update audit_log set salt = null, masked_by = id where id = %s", (3, 2, "masked by nobody")),
        ("delete from audit_log where id = %s", (2, 3, "missing before")),
    ],
)
def test_a_chain_that_was_tampered_with_says_where(owner: psycopg.Connection, force: str, told: Any) -> None:
    _first, second, _third = sealed(owner)
    by_force(owner, force, second)
    assert chains(owner)["changes"] == told


def test_an_end_that_was_cut_off_and_a_chain_made_anew_are_noticed(owner: psycopg.Connection) -> None:
    *_rest, last = sealed(owner)
    [end] = owner.execute(
        "select sealed_number, encode(seal, 'hex') from audit_chain where chain = 'changes'"
    )
    by_force(owner, "delete from audit_log where id = %s", last)
    assert chains(owner)["changes"] == (2, 3, "missing after")
    by_force(owner, "delete from audit_log")
    owner.execute("delete from audit_chain")
    sealed(owner, 4)
    assert chains(owner)["changes"] == (4, None, "")
    assert chains(owner, {"changes": list(end)})["changes"] == (4, 3, "made anew")


def test_an_erasure_masks_values_and_the_chain_still_verifies(
    vegliasi: Any, people: Any, adele: Contact
) -> None:
    with brand_scope.use(vegliasi.id):
        Contact.objects.filter(id=adele.id).update(city="Noale")
        write_again = [one.after for one in AuditEntry.objects.filter(entity_id=adele.id)]
        assert any(after and after.get("first_name") == "Adele" for after in write_again)
        audit.seal()
        before = audit.verify(timezone.now())
        Contact.objects.filter(id=adele.id).update(first_name="", last_name="", email=None)
        masked = audit.mask(subjects=[adele.id], texts=["+393510004127"], reason="erasure")
        assert masked >= 3
        assert (
            not AuditEntry.objects.filter(entity_id=adele.id)
            .exclude(masked_at=None)
            .filter(after__first_name="Adele")
        )
        told = " ".join(f"{one.before} {one.after}" for one in AuditEntry.objects.all())
        assert "Noale" not in told
        assert "3510004127" not in told
        assert "adele@" not in told.lower()
        line = AuditEntry.objects.filter(entity_id=adele.id, action="UPDATE").earliest("created_at")
        assert (line.before, line.after, line.actor_kind) == ({"city": "***"}, {"city": "***"}, "sql")
        act = AuditEntry.objects.get(action="MASK")
        assert act.after == {"entries": masked, "reason": "erasure"}
        assert line.masked_by == act.id
        audit.seal()
        after = audit.verify(timezone.now())
    assert [chain.trouble for chain in (*before, *after)] == [""] * 4
    assert after[1].head > before[1].head


def test_lines_go_when_their_term_is_over_and_the_rest_still_verifies(owner: psycopg.Connection) -> None:
    """24 months, 12 for who came and went."""
    now = timezone.now()
    for chain in ("changes", "access"):
        for months in (25, 23, 13, 11, 1):
            write(owner, at=str(now - timedelta(days=30.5 * months)), chain=chain, months=str(months))
    owner.execute("select identity_audit_seal(1000)")
    assert dict(owner.execute("select * from identity_audit_forget(%s)", [now]).fetchall()) == {
        "access": 3,
        "changes": 1,
    }
    left = owner.execute(
        "select chain, string_agg(after->>'months', ' ' order by seal_number) from audit_log"
        " where action = 'UPDATE' group by chain"
    )
    assert dict(left.fetchall()) == {"access": "11 1", "changes": "23 13 11 1"}
    assert chains(owner) == {"access": (2, None, ""), "changes": (4, None, "")}
    told = owner.execute("select after->>'entries' from audit_log where action = 'RETENTION' order by 1")
    assert told.fetchall() == [("1",), ("3",)]
    assert owner.execute("select * from identity_audit_forget(%s)", [now]).fetchall() == []
    sealed(owner, 1)
    assert chains(owner)["changes"] == (7, None, "")
    # A clock that runs ahead deletes nothing before its time.
    assert owner.execute("select * from identity_audit_forget(now() + interval '9 years')").fetchall() == []


def test_the_nightly_jobs_seal_verify_and_forget(vegliasi: Any, adele: Contact, ada: User) -> None:
    tasks.verify_audit.func(timestamp=0)
    run = JobRun.objects.get(name=audit.VERIFICATION)
    assert run.status == "done"
    assert run.detail["changes"]["standing"] > 5
    tasks.seal_audit.func(timestamp=0)
    tasks.forget_audit.func(timestamp=0)
    tasks.verify_audit.func(timestamp=0)
    assert JobRun.objects.filter(name=audit.VERIFICATION, status="done").count() == 2


# What is no change


def test_signing_in_and_out_and_failing_to_are_told_to_the_brands_of_the_person(
    client: Client, vegliasi: Any, quadranorma: Any, people: Any
) -> None:
    client.post("/login", {"email": "bea@vegliasi.example", "password": "sbagliata"})
    client.post("/login", {"email": "nessuno@altrove.example", "password": "sbagliata"})
    client.post("/login", {"email": "bea@vegliasi.example", "password": "una-parola-lunga"})
    client.post("/logout")
    told = entries(vegliasi, chain="access")
    assert [(one.action, one.actor_user_id, one.entity_id) for one in told] == [
        ("LOGIN_FAILED", None, people.bea.id),
        ("LOGIN", people.bea.id, people.bea.id),
        ("LOGOUT", people.bea.id, people.bea.id),
    ]
    assert {one.ip_address for one in told} == {"127.0.0.1"}
    assert told[0].after == {"email": "bea@vegliasi.example", "reason": "wrong credentials"}
    assert entries(quadranorma, chain="access") == []
