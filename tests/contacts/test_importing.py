"""Bringing people in from a file: read, recognised, written, interrupted, taken back (CON-31, CON-32)."""

import io
from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from filiera.contacts import consents, suppressions
from filiera.contacts.importing import commands, fields, rows, running
from filiera.contacts.importing.commands import NotNow, Origin
from filiera.contacts.models import (
    Consent,
    Contact,
    ContactPhone,
    ImportedContact,
    ImportFault,
    ImportPiece,
    ImportRun,
)
from filiera.platform.refusals import Invalid
from tests.leads import NOW, incoming, take_in

OWN = Origin(
    basis="own",
    collected_by="Sportello di Mestre",
    collected_on=date(2025, 3, 1),
    text="Acconsento a ricevere promozioni per telefono e via e-mail",
    proof="moduli firmati, armadio 3",
)
LIST = """Nome;Cognome;Telefono;E-mail;Città;Colore preferito
Adele;Brunetti;+39 351 000 4127;adele.brunetti@posta.example;Noale;blu
Nino;Zanin;041 000 2290;;Mestre;
Lia;Moro;;lia@posta.example;Dolo;verde
Senza;Recapito;;;Mira;
"""


def brought(text: str | bytes, *, name: str = "clienti.csv", **choices: Any) -> ImportRun:
    """Take a file in, answer its questions and bring it in."""
    run = tried(text, name=name, **choices)
    commands.start(run_id=run.id, now=timezone.now())
    running.work(run.brand_id, run.id)
    return commands.run_for(run.id)


def tried(text: str | bytes, *, name: str = "clienti.csv", **choices: Any) -> ImportRun:
    run = prepared(text, name=name, **choices)
    commands.start_check(run_id=run.id, now=timezone.now())
    running.work(run.brand_id, run.id)
    return commands.run_for(run.id)


def prepared(
    text: str | bytes, *, name: str = "clienti.csv", origin: Origin = OWN, **choices: Any
) -> ImportRun:
    content = text.encode() if isinstance(text, str) else text
    run = commands.take_file(io.BytesIO(content), name=name, user_id=None, now=timezone.now())
    if choices:
        commands.set_columns(
            run_id=run.id,
            mapping=run.mapping | choices.get("mapping", {}),
            match=choices.get("match", "phone_email"),
            policies=choices.get("policies", {}),
            source_id=choices.get("source_id"),
            now=timezone.now(),
        )
    return commands.set_origin(run_id=run.id, origin=origin, now=timezone.now())


def test_a_file_makes_people_and_says_which_row_is_wrong(in_vegliasi: Any) -> None:
    """contacts.md 8: three good rows and a bad one."""
    run = brought(LIST)
    assert run.status == ImportRun.Status.DONE
    assert run.counts == {
        "rows": 4,
        "created": 3,
        "out": 1,
        **dict.fromkeys(("updated", "unchanged", "repeated", "warned"), 0),
    }
    assert list(ImportFault.objects.values_list("row_number", "code", "is_grave")) == [
        (5, "unreachable", True)
    ]
    assert list(Contact.objects.order_by("id").values_list("first_name", "city", "lead_count", "status")) == [
        ("Adele", "Noale", 0, "nuovo"), ("Nino", "Mestre", 0, "nuovo"), ("Lia", "Dolo", 0, "nuovo"),
    ]  # fmt: skip
    assert set(ContactPhone.objects.values_list("phone_e164", "is_primary", "is_match_key")) == {
        ("+393510004127", True, True), ("+390410002290", True, True),
    }  # fmt: skip
    assert not ImportPiece.objects.exists()


def test_a_trial_says_the_same_and_writes_nobody(in_vegliasi: Any) -> None:
    take_in(incoming(city=""))
    run = tried(LIST + "Adele;Bis;3510004127;;;\n")
    assert run.status == ImportRun.Status.CHECKED
    assert {name: run.counts[name] for name in ("rows", "created", "updated", "repeated", "out")} == {
        "rows": 5, "created": 2, "updated": 1, "repeated": 1, "out": 1,
    }  # fmt: skip
    assert Contact.objects.count() == 1
    assert ImportFault.objects.get(code="repeated").told == {"row": 2}
    trial = run.counts
    commands.start(run_id=run.id, now=timezone.now())
    running.work(run.brand_id, run.id)
    assert commands.run_for(run.id).counts == trial


def test_a_killed_import_goes_on_and_ends_as_an_unbroken_one(in_vegliasi: Any, monkeypatch: Any) -> None:
    """In sets of two rows; the second set fails after its writes, as if the process had been killed."""
    monkeypatch.setattr(running, "SET", 2)
    run = tried(LIST + "Ugo;Nero;340 1234567;;;\nAdele;Bis;3510004127;;;\n")
    commands.start(run_id=run.id, now=timezone.now())
    writes = running.Arrivals.save
    kills = iter((False, True, True, False))

    def save(self: Any, grants: Any) -> None:
        writes(self, grants)
        if next(kills, False):
            raise KeyboardInterrupt

    monkeypatch.setattr(running.Arrivals, "save", save)
    for _kill in range(2):
        with pytest.raises(KeyboardInterrupt):
            running.work(run.brand_id, run.id)
        assert Contact.objects.count() == 2
    ImportRun.objects.update(moved_at=NOW)
    assert commands.go_on(now=timezone.now()) == 1
    running.work(run.brand_id, run.id)
    run = commands.run_for(run.id)
    assert (run.status, run.counts["created"], run.counts["repeated"], run.counts["out"]) == ("done", 4, 1, 1)
    assert Contact.objects.count() == 4
    assert ImportFault.objects.get(code="repeated").told == {"row": 2}


def test_policies_say_what_changes_of_who_is_known(in_vegliasi: Any) -> None:
    take_in(incoming(city="Noale", email=""))
    text = "Nome;Cognome;Telefono;E-mail;Città;Note\nAda;Bruni;3510004127;nuova@posta.example;Dolo;richiama\n"
    brought(text, policies={"city": "overwrite", "email": "never", "notes": "fill"})
    [adele] = Contact.objects.all()
    assert (adele.first_name, adele.city, adele.email, adele.notes) == ("Adele", "Dolo", None, "richiama")
    kept = ImportedContact.objects.get()
    assert (kept.before, kept.after) == (
        {"city": "Noale", "notes": ""},
        {"city": "Dolo", "notes": "richiama"},
    )


def test_another_number_becomes_the_main_one_only_where_that_was_chosen(in_vegliasi: Any) -> None:
    take_in(incoming())
    text = "Nome;Telefono;E-mail\nAdele;340 1234567;adele.brunetti@posta.example\n"
    brought(text, policies={"phone": "never"})
    assert ContactPhone.objects.count() == 1
    brought(text, policies={"phone": "fill"})
    assert ContactPhone.objects.get(is_primary=True).phone_e164 == "+393510004127"
    run = brought(text, policies={"phone": "overwrite"})
    assert ContactPhone.objects.get(is_primary=True).phone_e164 == "+393401234567"
    commands.start_undo(run_id=run.id, user_id=None, now=timezone.now())
    running.work(run.brand_id, run.id)
    assert ContactPhone.objects.get(is_primary=True).phone_e164 == "+393510004127"
    assert ContactPhone.objects.count() == 2


def test_by_address_alone_a_shared_number_recognises_nobody_and_stays_with_its_owner(
    in_vegliasi: Any,
) -> None:
    take_in(incoming())
    brought("Nome;Telefono;E-mail\nIda;3510004127;ida@posta.example\n", match="email")
    assert Contact.objects.count() == 2
    assert set(ContactPhone.objects.values_list("contact__first_name", "is_match_key")) == {
        ("Adele", True), ("Ida", False),
    }  # fmt: skip


def test_undo_gives_old_values_back_and_lists_what_it_leaves(in_vegliasi: Any) -> None:
    take_in(incoming(city=""), incoming(phone="041 000 2290", email="zanin@posta.example", first_name="Nino"))
    run = brought(
        "Nome;Telefono;Città;CAP\nAdele;3510004127;Noale;30033\nNino;041 0002290;Mira;30034\nUgo;340 1234567;Dolo;\n"
        "Eva;347 7654321;Dolo;\nPia;348 7654321;Dolo;\n",
        policies={"city": "overwrite", "cap": "fill"},
    )
    from filiera.contacts.commands import edit_contact

    nino, eva, _pia = (Contact.objects.get(first_name=name) for name in ("Nino", "Eva", "Pia"))
    edit_contact(contact_id=nino.id, changes={"city": "Venezia"}, now=timezone.now(), user_id=None)
    edit_contact(contact_id=eva.id, changes={"city": "Padova"}, now=timezone.now(), user_id=None)
    take_in(incoming(phone="348 7654321", email="", received_at=timezone.now()))
    commands.start_undo(run_id=run.id, user_id=None, now=timezone.now())
    running.work(run.brand_id, run.id)
    run = commands.run_for(run.id)
    assert run.status == ImportRun.Status.UNDONE
    assert run.undo_counts == {"done": 2, "removed": 1, "edited": 2, "in_use": 1}
    standing = dict(Contact.objects.filter(deleted_at=None).values_list("first_name", "city"))
    assert standing == {"Adele": "", "Nino": "Venezia", "Eva": "Padova", "Pia": "Dolo"}
    assert Contact.objects.get(first_name="Nino").cap == ""
    assert ImportedContact.objects.get(contact=nino).kept == ["city"]
    with pytest.raises(NotNow):
        commands.start_undo(run_id=run.id, user_id=None, now=timezone.now())


def test_undo_ends_after_thirty_days(in_vegliasi: Any) -> None:
    run = brought(LIST)
    with pytest.raises(NotNow):
        commands.start_undo(run_id=run.id, user_id=None, now=timezone.now() + timedelta(days=31))
    commands.forget(now=timezone.now() + timedelta(days=31))
    assert not ImportedContact.objects.exists()
    assert not ImportFault.objects.exists()
    assert ImportRun.objects.get().counts["created"] == 3


def test_permissions_come_with_their_words_and_go_with_the_undo(in_vegliasi: Any) -> None:
    run = brought(LIST)
    adele = Contact.objects.get(first_name="Adele")
    held = {(one.purpose, one.channel): one.holds for one in consents.permissions_of(adele).rows}
    assert held == {("marketing", "call"): True, ("marketing", "email"): True}
    proof = Consent.objects.filter(contact=adele).first()
    assert (proof.by_person, proof.text) == (False, OWN.text)
    assert proof.collected_by == "Sportello di Mestre; moduli firmati, armadio 3 (clienti.csv)"
    assert timezone.localtime(proof.at).date() <= date(2025, 3, 1)
    commands.start_undo(run_id=run.id, user_id=None, now=timezone.now())
    running.work(run.brand_id, run.id)
    assert not any(one.holds for one in consents.permissions_of(adele).rows)


@pytest.mark.parametrize(
    "origin",
    [
        Origin(basis="own", collected_by="Noi", collected_on=date(2025, 3, 1)),
        Origin(basis="bought", collected_by="Liste Srl", collected_on=date(2025, 3, 1), text=OWN.text, proof="CD"),
        Origin(
            basis="own", collected_by="Noi", collected_on=date(2025, 3, 1), proof="CD",
            text="Acconsento a promozioni per telefono e alla cessione a terzi",
        ),
    ],
)  # fmt: skip
def test_without_words_proof_or_sample_nobody_may_be_called(in_vegliasi: Any, origin: Origin) -> None:
    """GD-07: a list without proof is brought in and not called."""
    run = prepared(LIST, origin=origin)
    for verb in (commands.start_check, commands.start):
        verb(run_id=run.id, now=timezone.now())
        running.work(run.brand_id, run.id)
    assert Contact.objects.count() == 3
    assert not any(
        one.holds for person in Contact.objects.all() for one in consents.permissions_of(person).rows
    )


def test_nothing_comes_in_before_it_is_said_where_it_comes_from(in_vegliasi: Any) -> None:
    """UI-40."""
    run = commands.take_file(io.BytesIO(LIST.encode()), name="a.csv", user_id=None, now=timezone.now())
    with pytest.raises(Invalid):
        commands.start_check(run_id=run.id, now=timezone.now())
    with pytest.raises(Invalid) as refusal:
        commands.set_origin(run_id=run.id, origin=Origin(text="Acconsento"), now=timezone.now())
    assert set(refusal.value.details) == {"basis", "collected_by", "collected_on", "proof"}


def test_the_erased_do_not_come_back_and_the_opposed_are_not_called(in_vegliasi: Any) -> None:
    """GD-28: the original file again."""
    now = timezone.now()
    suppressions.add(["+393510004127"], reason="erased", now=now)
    suppressions.add(["lia@posta.example"], reason="opposed", now=now)
    run = brought(LIST)
    assert set(Contact.objects.values_list("first_name", flat=True)) == {"Nino", "Lia"}
    assert ImportFault.objects.get(row_number=2).code == "erased"
    assert run.counts["out"] == 2
    lia = Contact.objects.get(first_name="Lia")
    assert not any(one.holds for one in consents.permissions_of(lia).rows)


def test_stopping_keeps_what_came_in_and_can_be_taken_back(in_vegliasi: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(running, "SET", 1)
    run = tried(LIST)
    commands.start(run_id=run.id, now=timezone.now())
    writes = running.Arrivals.save

    def save(self: Any, grants: Any) -> None:
        if Contact.objects.count() == 2:
            raise KeyboardInterrupt
        writes(self, grants)

    monkeypatch.setattr(running.Arrivals, "save", save)
    with pytest.raises(KeyboardInterrupt):
        running.work(run.brand_id, run.id)
    commands.stop(run_id=run.id, now=timezone.now())
    running.work(run.brand_id, run.id)
    run = commands.run_for(run.id)
    assert (run.status, run.counts["created"], Contact.objects.count()) == ("stopped", 2, 2)
    assert not ImportPiece.objects.exists()
    commands.start_undo(run_id=run.id, user_id=None, now=timezone.now())
    running.work(run.brand_id, run.id)
    assert not Contact.objects.filter(deleted_at=None).exists()


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (
            ["Record ID", "First Name", "Last Name", "Email", "Phone Number", "Mobile Phone Number", "Create Date"],
            ["hubspot", "first_name", "last_name", "email", "phone", "phone_2", "arrived"],
        ),
        (
            ["Name", "Email", "Phone", "Status", "Assignee", "Created time", "Notes"],
            ["full_name", "email", "phone", "status", "owner", "arrived", "notes"],
        ),
        (["NOME", "cognome", "Cellulare", "Telefono fisso", "Ragione sociale", "C.A.P.", "Provenienza"],
         ["first_name", "last_name", "phone", "phone_2", "company_name", "cap", "source"]),
    ],
)  # fmt: skip
def test_titles_of_hubspot_of_airtable_and_italian_ones_map_by_themselves(
    titles: list[str], expected: list[str]
) -> None:
    assert list(fields.suggested(titles).values()) == expected


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_delimiter_and_letters_are_found_out(in_vegliasi: Any, delimiter: str, encoding: str) -> None:
    text = LIST.replace(";", delimiter).replace("Adele", "Nicolò")
    run = prepared(text.encode(encoding))
    assert run.headers[:2] == ["Nome", "Cognome"]
    assert run.headers[4] == "Città"
    assert run.options["delimiter"] == delimiter
    assert brought(text.encode(encoding)).counts["created"] == 3
    assert Contact.objects.filter(first_name="Nicolò").exists()


@pytest.mark.parametrize(
    ("typed", "order", "expected"),
    [
        ("31/12/2024", "dmy", "2024-12-30T23:00:00+00:00"),
        ("12/31/2024 18:05", "mdy", "2024-12-31T17:05:00+00:00"),
        ("2024-06-01", "dmy", "2024-05-31T22:00:00+00:00"),
        ("1.6.24", "dmy", "2024-05-31T22:00:00+00:00"),
        ("31/02/2024", "dmy", None),
        ("ieri", "dmy", None),
    ],
)
def test_dates_are_read_as_the_file_writes_them(typed: str, order: str, expected: str | None) -> None:
    found = rows.moment(typed, order, "Europe/Rome")
    assert (found.isoformat() if found else None) == expected
