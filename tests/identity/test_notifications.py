"""What one is told, reads, and wants to be told of (IDN-31)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from filiera.identity import notifications
from filiera.identity.models import (
    ClosedAccess,
    Notification,
    NotificationChoice,
    OutgoingEmail,
    User,
    UserRole,
)
from filiera.identity.notifications import Notice
from filiera.platform import brand_scope, live
from filiera.platform.ids import new_id
from tests.identity.conftest import Program

SignedIn = Callable[[Any], Client]
KIND = "lead_assigned"


def words() -> tuple[str, str]:
    from django.utils.translation import gettext as _

    return _("Notifiche"), "è arrivato"


def tell(user: User, cause: str = "uno", *, kind: str = KIND, address: str = "/oggi") -> None:
    notifications.tell([Notice(kind, user.id, cause, words, address)], now=timezone.now())


def told(user: User) -> list[Notification]:
    return list(notifications.of(user))


def test_telling_is_one_statement_for_any_number_and_wakes_the_open_pages(
    in_vegliasi: Any, ada: User, bea: User, django_assert_num_queries: Any
) -> None:
    bea.language = "en"
    bea.save()
    with django_assert_num_queries(1) as asked:
        notifications.tell(
            [Notice(KIND, user.id, f"c{place}", words) for place in range(40) for user in (ada, bea)],
            now=timezone.now(),
        )
    assert live.payload("notifications") in asked.captured_queries[0]["sql"]
    assert {one.title for one in told(ada)} == {"Notifiche"}
    assert {one.title for one in told(bea)} == {"Notifications"}
    assert len(told(bea)) == 40


def test_the_same_thing_is_told_once(in_vegliasi: Any, bea: User) -> None:
    tell(bea)
    tell(bea)
    assert len(told(bea)) == 1


def test_who_left_is_closed_out_or_may_not_see_it_is_not_told(
    in_vegliasi: Any, ada: User, bea: User, carl: User
) -> None:
    UserRole.objects.filter(user=bea).update(role="customer")
    tell(bea)
    tell(carl)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    tell(ada)
    assert Notification.objects.count() == 0
    assert ClosedAccess.objects.count() == 0


def test_each_kind_goes_where_one_wants_it(
    in_vegliasi: Any, signed_in: SignedIn, bea: User, run_jobs: Callable[[], int]
) -> None:
    page = signed_in(bea).get("/notifiche").content.decode()
    assert "Un lead è per te" in page
    assert "Le chiamate vanno male" not in page, "she does not look after calls"
    others = [one.kind.name for one in notifications.wanted_by(_principal(bea))]
    signed_in(bea).post("/notifiche/scelte", {"qui": [*others[1:]], "email": [KIND]})
    tell(bea)
    [one] = told(bea)
    assert one.is_read, "no bell, but it is in the list"
    assert notifications.write_letters(now=timezone.now()) == 1
    assert notifications.write_letters(now=timezone.now()) == 0
    letter = OutgoingEmail.objects.get(kind="notifications")
    assert (letter.to_address, "Un lead è per te: 1" in letter.body_text) == (bea.email, True)
    assert "/notifiche" in letter.body_text
    signed_in(bea).post("/notifiche/scelte", {"qui": others[1:]})
    tell(bea, "due")
    assert len(told(bea)) == 1, "turned off"
    assert set(NotificationChoice.objects.values_list("user_id", flat=True)) == {bea.id}


def _principal(user: User) -> Any:
    from filiera.identity import queries

    return queries.principal_of(user)


def test_the_bell_counts_what_is_unread_and_the_page_marks_it(
    in_vegliasi: Any, signed_in: SignedIn, bea: User
) -> None:
    client = signed_in(bea)
    assert 'aria-label="Notifiche"' in client.get("/oggi").content.decode()
    assert "La prima notifica apparirà qui" in client.get("/notifiche").content.decode()
    for cause in ("uno", "due", "tre"):
        tell(bea, cause)
    assert 'aria-label="Notifiche, 3 da leggere"' in client.get("/oggi").content.decode()
    first = told(bea)[0]
    opened = client.post(f"/notifiche/{first.id}", {"fa": "apri"})
    assert (opened.status_code, opened["Location"]) == (302, "/oggi")
    assert notifications.count_unread(bea) == 2
    client.post(f"/notifiche/{first.id}", {"fa": "da-leggere"})
    assert notifications.count_unread(bea) == 3
    unread = client.get("/notifiche?vista=da-leggere").content.decode()
    assert unread.count('class="is-unread"') == 3


def test_marking_all_can_be_taken_back_and_touches_nothing_else(
    in_vegliasi: Any, signed_in: SignedIn, bea: User
) -> None:
    client = signed_in(bea)
    for cause in ("uno", "due", "tre"):
        tell(bea, cause)
    before = told(bea)[2]
    notifications.mark(
        user=bea, notification_id=before.id, is_read=True, now=timezone.now() - timedelta(hours=1)
    )
    page = client.post("/notifiche/lette", follow=True).content.decode()
    assert "2 avvisi segnati come letti." in page
    assert notifications.count_unread(bea) == 0
    assert "Hai letto tutto." in client.get("/notifiche?vista=da-leggere").content.decode()
    [undo] = {part.partition('"')[0] for part in page.split('data-undo="')[1:] if part[0] == "/"}
    client.post(undo.replace("&amp;", "&"))
    assert notifications.count_unread(bea) == 2
    assert client.post("/notifiche/annulla?da=ieri").status_code == 302


def test_notifications_over_the_api_have_the_shape_of_the_contract(
    program: Program, bea: User, ada: User, vegliasi: Any
) -> None:
    program.sign_in(bea.email)
    with brand_scope.use(vegliasi.id):
        tell(bea)
        tell(bea, "due")
        tell(ada)
        adas = told(ada)[0]
    answer = program("get", "/api/v1/notifications?per_page=1").json()
    assert answer["pagination"]["total"] == 2
    [one] = answer["data"]
    assert one == {
        "id": one["id"],
        "type": KIND,
        "title": "Notifiche",
        "message": "è arrivato",
        "action_url": "/oggi",
        "is_read": False,
        "read_at": None,
        "created_at": one["created_at"],
    }
    read = program("post", f"/api/v1/notifications/{one['id']}/read", {})
    assert (read.status_code, read.json()["data"]["is_read"]) == (200, True)
    assert program("get", "/api/v1/notifications?unread=true").json()["pagination"]["total"] == 1
    for nobodys in (adas.id, new_id()):
        assert program("post", f"/api/v1/notifications/{nobodys}/read", {}).status_code == 404
    assert program("post", "/api/v1/notifications/read-all", {}).json()["data"] == {"read": 1}
    with brand_scope.use(vegliasi.id):
        assert notifications.count_unread(ada) == 1


def test_what_was_told_in_another_brand_stays_there(
    signed_in: SignedIn, bea: User, vegliasi: Any, quadranorma: Any
) -> None:
    with brand_scope.use(quadranorma.id):
        UserRole.objects.create(user=bea, role="sales")
        tell(bea)
        theirs = told(bea)[0]
    client = signed_in(bea)
    assert 'aria-label="Notifiche"' in client.get("/oggi").content.decode()
    assert client.post(f"/notifiche/{theirs.id}", {"fa": "letta"}).status_code == 404


def test_they_go_after_ninety_days(in_vegliasi: Any, bea: User) -> None:
    tell(bea)
    assert notifications.forget(now=timezone.now() + timedelta(days=89)) == 0
    assert notifications.forget(now=timezone.now() + timedelta(days=91)) == 1


def test_the_bell_and_the_list_are_read_from_indexes_among_many(
    in_vegliasi: Any, bea: User, ada: User
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into identity_notification (id, brand_id, user_id, type, cause, title, message, action_url,"
            " by_email, read_at, created_at)"
            " select gen_random_uuid(), %s, case when n %% 10 = 0 then %s::uuid else %s::uuid end, 'lead_assigned',"
            " 'c' || n, 'Titolo', '', '', false, case when n %% 50 = 0 then null else now() end,"
            " now() - n * interval '1 minute' from generate_series(1, 20000) n",
            [in_vegliasi.id, bea.id, ada.id],
        )
        for query, name in (
            (notifications.of(bea)[:50], "notification_by_user"),
            (notifications.of(bea, unread=True).values("pk")[:100], "notification_unread"),
        ):
            text, parameters = query.query.sql_with_params()
            cursor.execute(f"explain {text}", parameters)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert name in plan, plan
            assert "Seq Scan" not in plan, plan
            assert "Sort" not in plan, plan


@pytest.mark.parametrize("role", ["guest", "support", "sales"])
def test_new_leads_are_offered_to_who_may_write_them(
    in_vegliasi: Any, signed_in: SignedIn, bea: User, role: str
) -> None:
    UserRole.objects.filter(user=bea).update(role=role)
    for address in ("/oggi", "/cerca"):
        page = signed_in(bea).get(address).content.decode()
        assert ("/leads/new" in page) == (role == "sales"), address


def test_one_is_put_off_and_told_again_as_new(
    in_vegliasi: Any, bea: User, ada: User, signed_in: SignedIn
) -> None:
    """UI-55."""
    tell(bea)
    [one] = told(bea)
    browser = signed_in(bea)
    page = browser.post(f"/notifiche/{one.pk}", {"fa": "domani"}, follow=True).content.decode()
    assert "Te lo ricordiamo domani 9:00." in page
    assert "torna domani 9:00" in page
    assert notifications.count_unread(bea) == 0
    one.refresh_from_db()
    assert one.snoozed_until is not None
    assert notifications.wake(now=one.snoozed_until - timedelta(minutes=1)) == 0
    assert notifications.wake(now=one.snoozed_until) == 1
    [again] = told(bea)
    assert (again.is_read, again.snoozed_until, again.created_at) == (False, None, one.snoozed_until)
    assert signed_in(ada).post(f"/notifiche/{one.pk}", {"fa": "ora"}).status_code == 404
    browser.post(f"/notifiche/{one.pk}", {"fa": "ora"})
    browser.post(f"/notifiche/{one.pk}?fa=da-leggere")
    assert notifications.count_unread(bea) == 1


def test_later_means_the_morning_in_the_zone_of_the_brand() -> None:
    now = datetime(2026, 3, 27, 21, 30, tzinfo=UTC)  # a Friday; the clocks change on Sunday
    with timezone.override("Europe/Rome"):
        found = [notifications.later(choice, now).isoformat() for choice in notifications.LATER]
    assert found == [
        "2026-03-27T22:30:00+00:00",
        "2026-03-28T09:00:00+01:00",
        "2026-03-30T09:00:00+02:00",
    ]
