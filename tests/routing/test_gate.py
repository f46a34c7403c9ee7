"""The call gate over real rows: one person or many, the automatic call, the button, and the register (ROU-70)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import InternalError, ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from filiera.contacts import consents, restriction, suppressions
from filiera.contacts.models import Contact
from filiera.identity.models import Brand
from filiera.pipeline.models import Activity, Deal
from filiera.platform.refusals import Invalid
from filiera.routing import commands as routing
from filiera.routing import gate, register
from filiera.routing.call_rules import Basis, Stop
from filiera.routing.models import Process, RegisterCheck, RegisterResult
from tests.leads import NOW, incoming, source, take_in

PROMOTIONS = {"consents": [{"question": "Acconsento a ricevere promozioni per telefono", "answer": True}]}
NUMBER = "+393510004127"
DAY = timedelta(days=1)
WEDNESDAY = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)


def adele(**fields: Any) -> Contact:
    [lead] = take_in(incoming(**fields), now=fields.get("received_at", NOW))
    return Contact.objects.get(id=lead.contact.id)


def promotable(at: datetime = WEDNESDAY - 100 * DAY) -> Contact:
    """Return Adele, whose enquiry is long over and who permitted promotions with it."""
    return adele(custom=PROMOTIONS, received_at=at)


def check(content: str, *, at: datetime = WEDNESDAY - DAY) -> RegisterCheck:
    return register.take(content.encode(), checked_at=at, user_id=None, now=WEDNESDAY)


def verdict(of: Contact, now: datetime = WEDNESDAY) -> tuple[Any, Any]:
    found = gate.verdict_of(of.id, now=now)
    return found.basis, found.stop


# Bases


def test_an_enquiry_is_answered_until_its_deal_is_closed(in_vegliasi: Any) -> None:
    someone = adele()
    assert verdict(someone, NOW) == (Basis.REQUEST, None)
    Deal.objects.update(status="lost", closed_at=NOW)
    assert verdict(someone, NOW) == (None, Stop.NO_CONSENT)
    Deal.objects.update(status="won", closed_at=NOW)
    assert verdict(someone, NOW) == (Basis.PURCHASE, None)


def test_an_old_enquiry_a_test_and_a_number_that_is_none_are_no_basis(in_vegliasi: Any) -> None:
    assert verdict(adele(), NOW + 91 * DAY) == (None, Stop.NO_CONSENT)
    tried = adele(phone="+39 351 000 4130", email="prova@posta.example", is_test=True)
    assert verdict(tried, NOW) == (None, Stop.NO_CONSENT)
    wrong = adele(phone="12", email="corto@posta.example")
    assert verdict(wrong, NOW) == (None, Stop.NO_NUMBER)


def test_who_asked_not_to_be_called_is_not_until_they_ask_again_themselves(in_vegliasi: Any) -> None:
    someone = adele()
    consents.withdraw(someone, text="No", collected_by="Bea", now=NOW + DAY, channel="call", reason="opposed")
    assert verdict(someone, NOW + 2 * DAY) == (None, Stop.OPPOSED)
    adele(received_at=NOW + 3 * DAY)
    assert verdict(someone, NOW + 3 * DAY) == (Basis.REQUEST, None)


def test_a_promotion_needs_consent_a_fresh_check_the_window_and_a_brand_that_makes_any(
    in_vegliasi: Any,
) -> None:
    someone = promotable()
    assert verdict(someone) == (None, Stop.NOT_CHECKED)
    check(f"{NUMBER};non iscritto", at=WEDNESDAY - 16 * DAY)
    assert verdict(someone) == (None, Stop.CHECK_OLD)
    check("numero;esito\n351 000 4127;NON ISCRITTO")
    assert verdict(someone) == (Basis.PROMOTION, None)
    assert verdict(someone, WEDNESDAY.replace(hour=20)) == (None, Stop.CLOSED_WINDOW)
    Brand.objects.filter(id=in_vegliasi.id).update(settings={"holidays": {"patron_day": "11-18"}})
    assert verdict(someone) == (None, Stop.CLOSED_WINDOW)
    closed = {"closed": [{"from": "2026-11-16", "to": "2026-11-20", "name": "Inventario"}]}
    Brand.objects.filter(id=in_vegliasi.id).update(settings={"holidays": closed})
    assert gate.verdict_of(someone.pk, now=WEDNESDAY).opens_at == datetime(2026, 11, 21, 9, tzinfo=UTC)
    Brand.objects.filter(id=in_vegliasi.id).update(settings={"calls": {"request_only": True}})
    assert verdict(someone) == (None, Stop.REQUEST_ONLY)


def test_registration_ends_what_was_permitted_before_it_and_not_what_came_after(in_vegliasi: Any) -> None:
    someone = promotable()
    check(f"{NUMBER};iscritto", at=WEDNESDAY - 20 * DAY)
    check(f"{NUMBER};iscritto;")
    assert verdict(someone) == (None, Stop.IN_REGISTER)
    assert RegisterResult.objects.latest("checked_at").listed_since == WEDNESDAY - 20 * DAY
    adele(custom=PROMOTIONS, received_at=WEDNESDAY - 5 * DAY)
    Deal.objects.update(status="lost", closed_at=WEDNESDAY)
    assert verdict(someone) == (Basis.PROMOTION, None), "given after the registration was known"


def test_the_date_of_registration_in_the_file_counts(in_vegliasi: Any) -> None:
    someone = promotable()
    check(f"{NUMBER};iscritto;01/03/2025")
    assert verdict(someone) == (Basis.PROMOTION, None)


def test_many_people_cost_two_statements(in_vegliasi: Any) -> None:
    people = [
        adele(phone=f"+39 351 000 52{place:02}", email=f"p{place}@posta.example") for place in range(30)
    ]
    brand = Brand.objects.get()
    with CaptureQueriesContext(connection) as captured:
        found = gate.verdicts([one.id for one in people], now=NOW, brand=brand)
    assert (len(captured), len(found)) == (2, 30)
    assert {one.basis for one in found.values()} == {Basis.REQUEST}
    assert gate.verdicts([], now=NOW, brand=brand) == {}


# The automatic call, and the one that somebody asks for


def waiting(**fields: Any) -> Process:
    source(auth_mode="public")
    lead = take_in(incoming(received_at=NOW, **fields))
    routing.request_calls(routing.assign(lead, now=NOW), now=NOW)
    return Process.objects.latest("id")


def test_the_automatic_call_asks_nothing_more_when_it_is_requested_and_one_thing_when_it_leaves(
    in_vegliasi: Any,
) -> None:
    process = waiting()
    assert process.basis == "request"
    with CaptureQueriesContext(connection) as captured:
        assert gate.stopped([], now=NOW) == {}
        assert gate.stopped([process] * 40, now=NOW) == {}
    assert len(captured) == 1


def test_a_call_does_not_leave_for_who_opposed_after_it_was_requested(in_vegliasi: Any) -> None:
    process = waiting()
    suppressions.add({NUMBER}, channel="call", reason="opposed", now=NOW - DAY)
    assert gate.stopped([process], now=NOW) == {}, "they asked after that"
    suppressions.add({NUMBER}, channel="sms", reason="opposed", now=NOW + DAY)
    assert gate.stopped([process], now=NOW) == {}, "another channel"
    suppressions.add({NUMBER}, channel="any", reason="withdrawn", now=NOW + DAY)
    assert gate.stopped([process], now=NOW + DAY) == {process.id: "Non vuole essere chiamata"}


def test_a_call_does_not_leave_for_who_had_their_processing_restricted(in_vegliasi: Any) -> None:
    process = waiting()
    restriction.restrict(contact_id=process.contact_id, reason="Lo ha chiesto", user_id=None, now=NOW)
    assert gate.stopped([process], now=NOW) == {process.id: "Il trattamento dei suoi dati è limitato"}


def test_a_promotion_that_waited_into_the_evening_does_not_leave(in_vegliasi: Any) -> None:
    promotable()
    check(f"{NUMBER};no")
    process = waiting()
    Deal.objects.update(status="lost", closed_at=NOW)
    Process.objects.update(state="done")
    routing.retry_process(process_id=process.id, now=WEDNESDAY)
    process.refresh_from_db()
    assert process.basis == "promotion"
    assert gate.stopped([process], now=WEDNESDAY) == {}
    late = gate.stopped([process], now=WEDNESDAY.replace(hour=21))
    assert late == {process.id: "Per le promozioni è fuori orario"}


def test_nobody_rings_again_whom_the_gate_stops(in_vegliasi: Any) -> None:
    process = waiting()
    Process.objects.update(state="done")
    Deal.objects.update(status="lost", closed_at=NOW)
    with pytest.raises(gate.CallNotAllowed, match="nessun consenso alle chiamate"):
        routing.retry_process(process_id=process.id, now=NOW)
    process.refresh_from_db()
    assert process.state == "done"


@pytest.mark.django_db(transaction=True)
def test_what_is_stopped_ends_without_a_call_and_without_a_task(calling: Any, run_jobs: Any) -> None:
    calling.lead()
    with calling.scope():
        process = Process.objects.get()
        restriction.restrict(
            contact_id=process.contact_id, reason="Lo ha chiesto", user_id=None, now=process.created_at
        )
    calling.place()
    with calling.scope():
        process.refresh_from_db()
        assert (process.state, process.error_code) == ("done", "CALL_NOT_ALLOWED")
        assert process.error_message == "Il trattamento dei suoi dati è limitato"
    assert calling.rung() == []
    run_jobs()
    with calling.scope():
        assert not Activity.objects.exists()


# The register's file


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("351 000 4127;iscritto", [(NUMBER, True)]),
        ("Numero,Esito\n3510004127,Non iscritto\n+39 351 000 4128,SI", [(NUMBER, False), ("+393510004128", True)]),
        ("3510004127\t0\r\n\r\n", [(NUMBER, False)]),
        ("3510004127;no\n3510004127;si", [(NUMBER, True)]),
    ],
)  # fmt: skip
def test_the_result_file_is_read(content: str, found: list[tuple[str, bool]]) -> None:
    assert [(line.number, line.is_listed) for line in register.read(content.encode())] == found


@pytest.mark.parametrize(
    "content",
    ["", "numero;esito", "3510004127;forse\n3510004128;forse", "3510004127;si\n12;no", "3510004127;no\n351;si",
     "3510004127;no\n3510004128;iscritto;ieri"],
)  # fmt: skip
def test_what_cannot_be_read_refuses_the_whole_file(in_vegliasi: Any, content: str) -> None:
    with pytest.raises(Invalid):
        check(content)
    assert not RegisterCheck.objects.exists()


def test_a_check_keeps_batch_time_hash_and_result_and_no_number(in_vegliasi: Any) -> None:
    one = check(f"{NUMBER};si\n3510004128;no")
    assert (one.numbers, one.listed, len(one.file_hash), one.checked_at) == (2, 1, 64, WEDNESDAY - DAY)
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from routing_registerresult r where r::text like '%%4127%%'")
        assert cursor.fetchone()[0] == 0
    with pytest.raises(register.SameFile):
        check(f"{NUMBER};si\n3510004128;no")
    for at in (WEDNESDAY + DAY, WEDNESDAY - 400 * DAY):
        with pytest.raises(Invalid):
            check(f"{NUMBER};no", at=at)


@pytest.mark.parametrize("table", ["routing_registercheck", "routing_registerresult"])
def test_checks_are_only_ever_added(in_vegliasi: Any, table: str) -> None:
    check(f"{NUMBER};si")
    for statement in (f"delete from {table}", f"update {table} set checked_at = now()"):
        with (
            pytest.raises((InternalError, ProgrammingError), match="permission denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_the_numbers_to_check_are_those_one_may_promote_to_and_whose_check_ends(in_vegliasi: Any) -> None:
    promotable()
    adele(phone="+39 351 000 4131", email="senza@posta.example")
    assert register.numbers_to_check(now=WEDNESDAY) == [NUMBER]
    check(f"{NUMBER};no")
    assert register.numbers_to_check(now=WEDNESDAY) == []
    assert register.numbers_to_check(now=WEDNESDAY + 10 * DAY) == [NUMBER]


def test_the_command_line_lists_the_numbers_and_reads_the_outcomes(
    vegliasi: Any, tmp_path: Any, capsys: Any
) -> None:
    from filiera import operators
    from filiera.platform import brand_scope

    with brand_scope.use(vegliasi.id):
        promotable(timezone.now() - DAY)
    assert operators.list_numbers_to_check(slug="vegliasi") == 0
    assert capsys.readouterr().out == f"{NUMBER}\n"
    file = tmp_path / "esiti.csv"
    file.write_text(f"{NUMBER};non iscritto\n")
    today = f"{timezone.now():%Y-%m-%dT00:00}"
    assert operators.take_register_check(slug="vegliasi", file=file, checked="ieri") == 1
    assert operators.take_register_check(slug="vegliasi", file=tmp_path / "no", checked=today) == 1
    assert operators.take_register_check(slug="vegliasi", file=file, checked=today) == 0
    assert operators.take_register_check(slug="vegliasi", file=file, checked=today) == 1
    assert operators.take_register_check(slug="nessuno", file=file, checked=today) == 1
    with brand_scope.use(vegliasi.id):
        assert (RegisterCheck.objects.get().numbers, RegisterCheck.objects.get().listed) == (1, 0)
        assert register.numbers_to_check(now=timezone.now()) == []
