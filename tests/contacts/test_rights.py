"""A person's own copy of everything, and their erasure from every table and file (GD-25, GD-26, GD-30)."""

import csv
import gzip
import io
import json
import re
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.db import connection

from filiera.capture.models import Source, Submission
from filiera.contacts import commands as contacts
from filiera.contacts import (
    consents,
    erasure,
    merging,
    portability,
    restriction,
    subject,
    suppressions,
    tags,
)
from filiera.contacts.importing import commands as importing
from filiera.contacts.importing import running
from filiera.contacts.models import (
    Contact,
    Erasure,
    ImportedContact,
    ImportRun,
)
from filiera.identity import emails
from filiera.identity.models import AuditEntry, Notification, OutgoingEmail
from filiera.pipeline import commands as pipeline
from filiera.pipeline.models import Activity, Deal, LeadEvent
from filiera.platform import brand_scope, events, holdings
from filiera.platform.models import Event, Received, SystemLog
from filiera.routing.models import CallAttempt, Decision, Process, ProviderContact
from filiera.workspace.models import SavedView
from tests.contacts.test_importing import brought, prepared, tried
from tests.leads import NOW, incoming, source, submission, take_in

FIRST, LAST = "Adelìna", "Brunettoni"
EMAIL, NUMBER, TYPED = "adelina.brunettoni@posta.example", "+393510004127", "351 000-4127"
VALUES = ("adelina.brunettoni", "adelina.brunettoni%40", "3510004127", TYPED, "Brunettoni", FIRST)
LATER = NOW + timedelta(days=1)


class Stay:
    """A person with a full history, another one beside her, and where to look."""

    contact: Contact
    other: Contact
    home: Path
    waits: ImportRun


@pytest.fixture
def stay(in_vegliasi: Any, bea: Any, settings: Any) -> Stay:
    found = Stay()
    found.home = Path(settings.FILIERA_HOME)
    of = source(auto_call=True)
    Source.objects.filter(id=of.id).update(auth_mode="public")
    sent = submission(of)
    body = orjson.dumps({"nome": FIRST, "cognome": LAST, "email": EMAIL, "telefono": TYPED})
    Submission.objects.filter(id=sent.id).update(
        body=body,
        headers={"referer": f"https://x.example/?email={EMAIL}"},
        ip_address="203.0.113.7",
        user_agent="Firefox",
        last_error=f"KeyError: {EMAIL}",
        response={"phone": NUMBER},
    )
    her = {"first_name": FIRST, "last_name": LAST, "email": EMAIL, "phone": TYPED}
    box = {"consents": [{"question": "Acconsento alle promozioni via email", "answer": True}]}
    [lead] = take_in(incoming(submission_id=sent.id, notes=f"=SUM(1)+{LAST}", custom=box, **her))
    found.contact = Contact.objects.get(id=lead.contact.id)
    # Two people in one request, as Meta sends them: hers and Carlo's.
    both = submission(of)
    pair = {
        "entry": [{"email": EMAIL, "tel": 393510004127}, {"email": "carlo@posta.example", "nome": "Carlo"}]
    }
    Submission.objects.filter(id=both.id).update(body=orjson.dumps(pair))
    carlo = {
        "first_name": "Carlo",
        "last_name": "Blu",
        "email": "carlo@posta.example",
        "phone": "347 555 1234",
    }
    take_in(
        incoming(submission_id=both.id, external_id="a", received_at=LATER, **her),
        incoming(submission_id=both.id, external_id="b", received_at=LATER, **carlo),
        now=LATER,
    )
    found.other = Contact.objects.get(email_norm="carlo@posta.example")
    deal = Deal.objects.filter(contact=found.contact).get()
    pipeline.record_activity(
        contact_id=found.contact.id,
        type="nota",
        now=NOW,
        user_id=bea.id,
        note=f"Ha chiamato {FIRST} {LAST}",
        status=Activity.Status.DONE,
        scheduled_at=None,
        occurred_at=NOW,
    )
    contacts.edit_contact(
        contact_id=found.contact.id, changes={"notes": f"Vive con {FIRST}"}, now=NOW, user_id=bea.id
    )
    event = LeadEvent.objects.filter(contact=found.contact).first()
    process = Process.objects.create(
        number="lead_1",
        contact=found.contact,
        lead_event=event,
        number_e164=NUMBER,
        lead={"name": f"{FIRST} {LAST}", "phone": NUMBER},
        day_of_week=0,
        hour_of_day=9,
        received_at=NOW,
        created_at=NOW,
    )
    from filiera.routing.models import Agent

    agent = Agent.objects.create(provider_agent_id="101", name="Alice")
    decision = Decision.objects.create(
        sequence=1,
        process=process,
        contact=found.contact,
        rule="round_robin",
        rule_version=1,
        candidates=[],
        state_before={},
        state_after={},
        agent=agent,
        reason="next_in_turn",
        created_at=NOW,
    )
    CallAttempt.objects.create(
        process=process,
        decision=decision,
        agent=agent,
        number_e164=NUMBER,
        requested_at=NOW,
        recording_url=f"https://pbx.example/{NUMBER}.mp3",
    )
    ProviderContact.objects.create(number_e164=NUMBER, provider_contact_id="77", created_at=NOW)
    Received.objects.create(
        provider="cloudtalk",
        external_id="e1",
        headers={},
        body=orjson.dumps({"number": 393510004127, "name": f"{FIRST} {LAST}"}),
        received_at=NOW,
    )
    emails.queue(
        [
            emails.Letter(
                kind="lead_confirmation",
                subject_id=event.id,
                to_address=EMAIL,
                to_name=f"{FIRST} {LAST}",
                subject="Ricevuta",
                body_text=f"Ciao {FIRST}",
            )
        ],
        now=NOW,
    )
    events.record(kind="prova.avvenuta", subject_id=deal.id, at=NOW, data={"to": f"{FIRST} {LAST} <{EMAIL}>"})
    SystemLog.objects.create(
        level="ERROR",
        module="prova",
        message=f"Non va per {FIRST} {LAST}",
        stack_trace=f"ValueError: {TYPED}",
        context={"email": EMAIL},
        created_at=NOW,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into procrastinate_jobs (queue_name, task_name, status, args)"
            " values ('default', 'x', 'failed', %s)",
            [json.dumps({"to": EMAIL, "number": 393510004127})],
        )
    refused = submission(of)
    Submission.objects.filter(id=refused.id).update(
        body=f"nome={FIRST}&email=adelina.brunettoni%40posta.example&tel=351%20000%204127".encode(),
        status="rejected",
    )
    since_then(found, bea)
    (found.home / "logs").mkdir()
    (found.home / "logs" / "worker.log").write_text(f"lead di {FIRST} {LAST} {EMAIL}\naltra riga\n")
    with gzip.open(found.home / "logs" / "vecchio.log.gz", "wt") as packed:
        packed.write(f"chiamato {NUMBER}\n")
    return found


def since_then(found: Stay, bea: Any) -> None:
    """What came after the lead: files, a second record of hers, a restriction, an activity of many, notices, a view."""
    a_row = f"{FIRST};{LAST};{TYPED};{EMAIL}"
    brought(f"Nome;Cognome;Telefono;E-mail;Città\n{a_row};Noale\n")
    tried(f"Nome;Telefono;E-mail\n{FIRST};12;{EMAIL}\n{FIRST};{TYPED};{EMAIL}\n")
    typed = f'Nome,Cognome,Nota,Telefono\r\n{FIRST},{LAST},"vive con {LAST}, sola",{TYPED}\r\nLia,Moro,,0412290\r\n'
    found.waits = prepared(typed.encode("cp1252"), name="vecchio.csv")
    again = {
        "first_name": FIRST,
        "last_name": LAST,
        "email": f"{FIRST}.due@posta.example",
        "phone": "0415551234",
    }
    [lead] = take_in(incoming(external_id="z", received_at=LATER, **again), now=LATER)
    merging.merge(contact_ids=[found.contact.id, lead.contact.id], now=LATER, user_id=bea.id)
    tag = tags.create(name="Da sentire", now=NOW)
    tags.assign(tag_id=tag.id, entity_type="contact", entity_ids=[found.contact.id], user_id=bea.id, now=NOW)
    restriction.restrict(contact_id=found.contact.id, reason=f"{LAST} contesta", user_id=None, now=NOW)
    restriction.lift(contact_id=found.contact.id, user_id=None, now=NOW)
    told = {"title": f"{FIRST} {LAST}", "subject_id": found.contact.id, "created_at": NOW}
    Notification.objects.create(user=bea, type="lead_assigned", cause="c1", **told)
    query = f"q={NUMBER}".replace("+", "%2B")
    SavedView.objects.create(owner=bea, name="Sua", query=query, created_at=NOW, updated_at=NOW)


def everywhere(home: Path) -> list[str]:
    """Return each place where one of her values stands: every column of every table, and every file."""
    wanted = re.compile("|".join(re.escape(value) for value in VALUES), re.IGNORECASE)
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'select to_jsonb(t)::text from "{table}" t')
            for (text,) in cursor.fetchall():
                row = json.loads(text)
                for name, value in row.items():
                    plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                    if plain.startswith("\\x"):
                        plain = bytes.fromhex(plain[2:]).decode("utf-8", "replace")
                    if wanted.search(plain):
                        found.append(f"{table}.{name}: {plain[:200]}")
    for file in home.rglob("*"):
        if file.is_file():
            content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            if wanted.search(content.decode("utf-8", "replace")):
                found.append(str(file))
    return found


def test_after_erasure_no_table_and_no_file_holds_a_value_of_theirs(stay: Stay, bea: Any) -> None:
    assert len(everywhere(stay.home)) > 25, "the history is full"
    figures = (Deal.objects.count(), LeadEvent.objects.count(), CallAttempt.objects.count())
    done = erasure.erase(contact_id=stay.contact.id, now=LATER, user_id=bea.id)
    assert everywhere(stay.home) == []
    assert (Deal.objects.count(), LeadEvent.objects.count(), CallAttempt.objects.count()) == figures
    told = {place["place"]: place for place in done.manifest["places"]}
    assert told["contacts_contactphone"]["result"] == "removed"
    assert told["contacts_contact"]["found"] == 2, "and the one that was merged into her"
    assert told["routing_callattempt"]["result"] == "masked"
    assert told["file:logs/worker.log"]["found"] == 2
    assert told["contacts_importpiece"] == {
        "place": "contacts_importpiece",
        "title": "Righe di file che aspettano di essere importati",
        "found": 3,
        "result": "removed",
    }
    assert told["backups"]["result"] == "elsewhere"
    assert "procrastinate_jobs" in told
    assert "audit_log" in told


def test_a_file_that_waits_loses_their_lines_and_brings_in_the_others(stay: Stay) -> None:
    erasure.erase(contact_id=stay.contact.id, now=LATER)
    run = importing.start_check(run_id=stay.waits.id, now=LATER)
    running.work(run.brand_id, run.id)
    importing.start(run_id=run.id, now=LATER)
    running.work(run.brand_id, run.id)
    run.refresh_from_db()
    assert (run.status, run.counts["rows"], run.counts["created"]) == ("done", 1, 1)
    [lia] = Contact.objects.filter(first_name="Lia")
    assert ImportedContact.objects.get(run=run).row_number == 3
    assert [one.phone_e164 for one in lia.phones.all()] == ["+390412290"]


def test_what_is_about_others_stays(stay: Stay) -> None:
    erasure.erase(contact_id=stay.contact.id, now=LATER)
    stay.other.refresh_from_db()
    assert (stay.other.first_name, stay.other.email) == ("Carlo", "carlo@posta.example")
    [body] = [bytes(one.body) for one in Submission.objects.all() if b"carlo" in bytes(one.body)]
    assert json.loads(body)["entry"][1] == {"email": "carlo@posta.example", "nome": "Carlo"}
    assert json.loads(body)["entry"][0] == {"email": "***", "tel": 0}
    assert (stay.home / "logs" / "worker.log").read_text().endswith("\naltra riga\n")


def test_the_proof_of_consent_stays_without_address_and_browser(stay: Stay) -> None:
    erasure.erase(contact_id=stay.contact.id, now=LATER)
    with connection.cursor() as cursor:
        cursor.execute(
            "select given, text, ip_address, user_agent, form_url, record_hash from contacts_consent"
            " where submission_id is not null"
        )
        [(given, text, *where, seal)] = cursor.fetchall()
    assert (given, text, where) == (True, "Acconsento alle promozioni via email", [None, "", ""])
    assert len(seal) == 64


def test_the_erased_person_is_on_the_list_and_an_import_revives_nothing(stay: Stay) -> None:
    erasure.erase(contact_id=stay.contact.id, now=LATER)
    assert suppressions.suppressed({EMAIL, NUMBER}) == {EMAIL, NUMBER}
    box = {"consents": [{"question": "Acconsento alle promozioni via email", "answer": True}]}
    [back] = take_in(
        incoming(email=EMAIL, phone=TYPED, custom=box, is_own_act=False, received_at=LATER), now=LATER
    )
    assert back.contact.id != stay.contact.id
    assert back.contact.is_suppressed
    assert not consents.permissions_of(back.contact).of("marketing", "email").holds


def test_erasing_twice_finds_nothing_more(stay: Stay) -> None:
    erasure.erase(contact_id=stay.contact.id, now=LATER)
    before = Erasure.objects.get().manifest
    again = erasure.erase(contact_id=stay.contact.id, now=LATER + timedelta(days=1))
    assert everywhere(stay.home) == []
    assert again.manifest["places"] != before["places"]
    assert not [place for place in again.manifest["places"] if place["place"].startswith("file:")]


def test_a_number_that_two_people_share_stays_with_the_other(stay: Stay) -> None:
    contacts.add_phone(contact_id=stay.other.id, typed=TYPED, now=NOW)
    erasure.erase(contact_id=stay.contact.id, now=LATER)
    assert [one.phone_e164 for one in stay.other.phones.order_by("created_at")].count(NUMBER) == 1
    assert not stay.contact.phones.exists()


def test_erasing_and_exporting_are_on_record(stay: Stay, bea: Any) -> None:
    portability.archive(stay.contact.id, now=NOW, user_id=bea.id)
    erasure.erase(contact_id=stay.contact.id, now=LATER, user_id=bea.id)
    actions = set(AuditEntry.objects.filter(entity_id=stay.contact.id).values_list("action", flat=True))
    assert {"EXPORT", "ERASE"} <= actions
    kinds = set(Event.objects.filter(subject_id=stay.contact.id).values_list("kind", flat=True))
    assert {"contact.exported", "contact.erased"} <= kinds


def test_another_brand_keeps_its_own(stay: Stay, quadranorma: Any) -> None:
    with brand_scope.use(quadranorma.id):
        take_in(incoming(first_name=FIRST, last_name=LAST, email=EMAIL, phone=TYPED))
    erasure.erase(contact_id=stay.contact.id, now=LATER)
    with brand_scope.use(quadranorma.id):
        assert Contact.objects.filter(email=EMAIL).count() == 1
        assert suppressions.suppressed({EMAIL}) == set()


def test_after_a_restore_the_erasure_is_done_again(stay: Stay, in_vegliasi: Any) -> None:
    erasure.erase(contact_id=stay.contact.id, now=LATER)
    folder = stay.home / "backups"
    log = (folder / erasure.LOG_FILE).read_text()
    assert not any(value.lower() in log.lower() for value in VALUES)
    # What the backup brings back.
    Contact.objects.filter(id=stay.contact.id).update(
        first_name=FIRST, last_name=LAST, email=EMAIL, email_norm=EMAIL, deleted_at=None
    )
    OutgoingEmail.objects.update(to_address=EMAIL, body_text=f"Ciao {FIRST}")
    assert everywhere(stay.home) != []
    assert erasure.apply_again(folder, now=LATER) == 1
    assert everywhere(stay.home) == []
    assert erasure.apply_again(stay.home / "nowhere", now=LATER) == 0


# The copy


def test_the_copy_is_complete_for_a_program_and_readable_for_the_person(stay: Stay, bea: Any) -> None:
    packed = zipfile.ZipFile(io.BytesIO(portability.archive(stay.contact.id, now=NOW, user_id=bea.id)))
    document = json.loads(packed.read("dati.json"))
    assert set(document["data"]) >= {
        *("contacts_contact", "contacts_contactphone", "contacts_consent", "capture_submission"),
        *("pipeline_leadevent", "pipeline_deal", "pipeline_stagehistory", "pipeline_activity"),
        *("routing_process", "routing_decision", "routing_callattempt", "routing_providercontact"),
        *("identity_outgoingemail", "platform_received"),
    }
    [call] = document["data"]["routing_callattempt"]["rows"]
    assert call["number_e164"] == NUMBER
    assert document["data"]["routing_decision"]["rows"][0]["reason"] == "next_in_turn"
    raw = [packed.read(name).decode() for name in packed.namelist() if name.startswith("richieste/")]
    assert any(TYPED in text for text in raw)
    assert "carlo" not in str(document).lower(), "nothing of the other person in the same request"
    page = packed.read("leggimi.html").decode()
    assert f"{FIRST} {LAST}" in page
    assert "Ha mandato una richiesta" in page
    assert "<script" not in page


def test_no_cell_of_the_copy_is_a_formula(stay: Stay) -> None:
    packed = zipfile.ZipFile(io.BytesIO(portability.archive(stay.contact.id, now=NOW)))
    for name in packed.namelist():
        if name.endswith(".csv"):
            for row in csv.reader(io.StringIO(packed.read(name).decode("utf-8-sig")), delimiter=";"):
                assert not [cell for cell in row if cell[:1] in ("=", "+", "-", "@", "\t")]
    assert f"'=SUM(1)+{LAST}" in packed.read("csv/pipeline_leadevent.csv").decode()


# The registry


def test_every_text_of_a_brand_stands_in_the_registry_of_a_room() -> None:
    with psycopg.connect(django_settings.DATABASE_URLS.owner) as owner:
        columns = owner.execute(
            "select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and attnum > 0"
            " and not attisdropped where relkind = 'r' and relnamespace = 'public'::regnamespace"
            " and format_type(atttypid, null) in ('text', 'character varying', 'jsonb', 'bytea', 'text[]', 'inet')"
            " and exists (select from pg_attribute b where b.attrelid = c.oid and b.attname = 'brand_id')"
        ).fetchall()
    known = {one.table: one for one in holdings.all_of_them()}
    missing = [
        f"{table}.{column}"
        for table, column in columns
        if table not in holdings.reasons()
        and not (
            (one := known.get(table)) and (one.is_removed or column in one.erased or column in one.plain)
        )
    ]
    assert missing == []


def test_the_registry_names_only_what_is_there() -> None:
    tables = {model._meta.db_table for model in apps.get_models()}
    assert {one.table for one in holdings.all_of_them()} | set(holdings.reasons()) <= tables


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("scrivi ad Adelina.Brunettoni@Posta.Example!", True),
        ("email=adelina.brunettoni%40posta.example&x", True),
        ("xadelina.brunettoni@posta.example", False),
        ("+39 351 000 4127", True),
        ("00393510004127", True),
        ("351.000.4127", True),
        ("93510004127", False),
        ("35100041270", False),
    ],
)
def test_a_value_is_found_however_it_is_written_and_nothing_else(
    stay: Stay, text: str, is_found: bool
) -> None:
    person = subject.of(stay.contact)
    assert bool(subject.for_python(person.pattern).search(text)) is is_found
    with connection.cursor() as cursor:
        cursor.execute("select %s ~* %s", [text, person.pattern])
        assert cursor.fetchone() == (is_found,)


# Doors


def test_an_administrator_takes_the_copy_and_erases_from_the_record_and_a_seller_does_not(
    stay: Stay, signed_in: Any, ada: Any, bea: Any
) -> None:
    page = f"/leads/{stay.contact.id}"
    assert "Cancella per sempre" in signed_in(ada).get(page).content.decode()
    assert "Cancella per sempre" not in signed_in(bea).get(page).content.decode()
    for path in ("data", "erase"):
        assert signed_in(bea).post(f"{page}/{path}", {"conferma": "CANCELLA"}).status_code == 404
    copy = signed_in(ada).post(f"{page}/data")
    assert copy["Content-Type"] == "application/zip"
    assert zipfile.ZipFile(io.BytesIO(copy.content)).testzip() is None
    assert "Chiamate" in signed_in(ada).get(f"{page}/erase").content.decode()
    assert signed_in(ada).post(f"{page}/erase", {"conferma": "no"}).status_code == 422
    stay.contact.refresh_from_db()
    assert stay.contact.first_name == FIRST
    done = signed_in(ada).post(f"{page}/erase", {"conferma": "cancella"}).content.decode()
    assert "Verbale" in done
    stay.contact.refresh_from_db()
    assert (stay.contact.first_name, stay.contact.email) == ("", None)
    assert "Verbale" in signed_in(ada).get(f"{page}/erase").content.decode()
    assert signed_in(ada).get(page).status_code == 404


def test_the_command_line_does_the_same(
    stay: Stay, vegliasi: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from filiera import operators

    file = tmp_path / "copia.zip"
    assert operators.export_person(slug="vegliasi", person=EMAIL, file=file) == 0
    assert zipfile.ZipFile(file).testzip() is None
    assert file.stat().st_mode & 0o077 == 0
    assert operators.export_person(slug="nessuno", person=EMAIL, file=file) == 1
    assert operators.erase_person(slug="vegliasi", person="+39 600 000", is_sure=True) == 1
    file.unlink()
    capsys.readouterr()
    assert operators.erase_person(slug="vegliasi", person=TYPED, is_sure=True) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert {place["result"] for place in manifest["places"]} >= {"masked", "removed", "kept", "suppressed"}
    assert everywhere(stay.home) == []
