"""What is kept too long goes by itself, every night, in sets, and a report says what went (GD-31 … GD-33).

Who had their processing restricted keeps everything until that is lifted: they may need it (GD-29).
"""

from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from filiera.contacts import erasure
from filiera.contacts.models import RetentionPolicy
from filiera.platform import brand_scope, events
from filiera.platform.models import Event
from filiera.platform.refusals import Invalid

SET: Final = 500
DONE: Final = "retention.done"
REQUESTS, PROVIDER_MESSAGES, EMAILS = "requests", "provider_messages", "emails"
ENQUIRIES, MARKETING, PROFILING = "enquiries", "marketing", "profiling"

# GD-32 and GD-33: 24 and 12 months from the last act for permissions, 12 for who never bought.
DEFAULT_MONTHS: Final[Mapping[str, int]] = MappingProxyType(
    {REQUESTS: 12, PROVIDER_MESSAGES: 3, EMAILS: 12, ENQUIRIES: 12, MARKETING: 24, PROFILING: 12}
)


def terms() -> dict[str, int]:
    """Return the months of each class of data in the open brand: its own policy, else the default."""
    own = dict(RetentionPolicy.objects.values_list("data_class", "months"))
    return {**DEFAULT_MONTHS, **own}


def run(brand_id: UUID, *, now: datetime) -> dict[str, int]:
    """Let go what a brand kept long enough, each set in a transaction of its own; returns how much of what.

    May be stopped and run again at any moment. What went stands in an event of the brand.
    """
    with brand_scope.use(brand_id):
        wanted = terms()
    gone: dict[str, int] = {}
    for data_class, months in wanted.items():
        before = months_before(now, months)
        while True:
            with brand_scope.use(brand_id):
                count = _VERBS[data_class](before, now)
            gone[data_class] = gone.get(data_class, 0) + count
            if count < SET:
                break
    if any(gone.values()):
        with brand_scope.use(brand_id):
            data = {"gone": gone, "months": wanted}
            events.record(kind=DONE, subject_id=brand_id, at=now, data=data)
    return gone


def set_term(*, data_class: str, months: int, reason: str, owner: str, is_default: bool = False) -> None:
    """Keep a class of data so many months, for a reason that `owner` answers for; or as long as by default.

    Raises Invalid.
    """
    if data_class not in DEFAULT_MONTHS:
        raise Invalid(_("Questi dati non hanno un termine."))
    if is_default:
        RetentionPolicy.objects.filter(data_class=data_class).delete()
        return
    reason = reason.replace("\x00", "").strip()
    wrong = {}
    if not 1 <= months <= 240:
        wrong["mesi"] = [_("Da 1 a 240 mesi.")]
    if not reason:
        wrong["motivo"] = [_("Serve il motivo.")]
    if wrong:
        raise Invalid(_("Alcuni campi non vanno bene."), details=wrong)
    RetentionPolicy.objects.update_or_create(
        data_class=data_class, defaults={"months": months, "reason": reason[:2_000], "owner": owner[:255]}
    )


def report(*, most: int = 400) -> dict[str, Any]:
    """Return the terms of the open brand, whose reason each is, and what went, the latest night first."""
    policies = {one.data_class: one for one in RetentionPolicy.objects.all()}
    nights = Event.objects.filter(kind=DONE).order_by("-at").values_list("at", "data")[:most]
    return {
        "terms": {
            name: {
                "months": months,
                "reason": policies[name].reason if name in policies else "default",
                "owner": policies[name].owner if name in policies else "",
            }
            for name, months in terms().items()
        },
        "gone": [{"at": at.isoformat(), **data["gone"]} for at, data in nights],
    }


def months_before(now: datetime, months: int) -> datetime:
    """Return the moment so many months ago, on the last day of a month that has no such day."""
    years, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    return now.replace(year=years, month=month + 1, day=min(now.day, monthrange(years, month + 1)[1]))


def _requests(before: datetime, now: datetime) -> int:
    return _execute(
        """
        update capture_submission set body = '', headers = '{}', retrieved = null, response = null, ip_address = null,
               user_agent = '', last_error = '', path = split_part(path, '?', 1)
        where id in (select id from capture_submission where received_at < %s and queue_state <> 'ready'
                     and queue_state <> 'leased' and (octet_length(body) > 0 or headers <> '{}')
                     and not exists (select from contacts_contact c join pipeline_leadevent e on e.contact_id = c.id
                                     where c.restricted_at is not null and e.submission_id = capture_submission.id)
                     limit %s)
        """,
        [before, SET],
    )


def _provider_messages(before: datetime, now: datetime) -> int:
    return _execute(
        """
        delete from platform_received where id in
        (select id from platform_received where received_at < %s and handled_at is not null limit %s)
        """,
        [before, SET],
    )


def _emails(before: datetime, now: datetime) -> int:
    return _execute(
        """
        update identity_outgoingemail set to_address = 'cancellato@invalid', to_name = '', subject = '', body_text = '',
               body_html = '', last_error = ''
        where id in (select id from identity_outgoingemail where created_at < %s and status <> 'queued'
                     and to_address <> 'cancellato@invalid'
                     and not exists (select from contacts_contact c where c.restricted_at is not null
                                     and c.email_norm = lower(to_address))
                     limit %s)
        """,
        [before, SET],
    )


def _enquiries(before: datetime, now: datetime) -> int:
    """Forget who asked, bought nothing, and was not heard of since; who was merged goes with whom they live on in."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select c.id from contacts_contact c
            where c.last_lead_at < %(before)s and c.restricted_at is null and c.merged_into_id is null
              and (c.first_name <> '' or c.last_name <> '' or c.email is not null or c.company_name <> ''
                   or exists (select from contacts_contactphone p where p.contact_id = c.id))
              and not exists (select from pipeline_deal d where d.contact_id = c.id and d.status = 'won'
                              and not d.is_void)
              and not exists (select from pipeline_activity a where a.contact_id = c.id
                              and coalesce(a.occurred_at, a.scheduled_at, a.created_at) >= %(before)s)
              and not exists (select from contacts_consent p where p.contact_id = c.id and p.at >= %(before)s)
            limit %(set)s for no key update of c
            """,
            {"before": before, "set": SET},
        )
        people = [row[0] for row in cursor.fetchall()]
    return erasure.forget(people, now=now) if people else 0


def _permissions(*purposes: str) -> Callable[[datetime, datetime], int]:
    def expire(before: datetime, now: datetime) -> int:
        """Let permissions end whose person was not heard of since; the end is a row like any other."""
        return _execute(
            """
            insert into contacts_consent (id, brand_id, contact_id, purpose, channel, given, by_person, text,
                                          text_version, language, form_url, user_agent, collected_by, record_hash, at,
                                          created_at)
            select gen_random_uuid(), last.brand_id, last.contact_id, last.purpose, last.channel, false, false,
                   last.text, last.text_version, last.language, '', '', 'retention', '', %(now)s, %(now)s
            from (select distinct on (contact_id, purpose, channel) * from contacts_consent
                  where purpose = any (%(purposes)s) order by contact_id, purpose, channel, at desc, id desc) last
            join contacts_contact c on c.id = last.contact_id
            where last.given and last.at < %(before)s and c.last_lead_at < %(before)s and c.restricted_at is null
              and not exists (select from pipeline_activity a where a.contact_id = c.id and a.status = 'done'
                              and coalesce(a.occurred_at, a.created_at) >= %(before)s)
            limit %(set)s
            """,
            {"before": before, "now": now, "purposes": list(purposes), "set": SET},
        )

    return expire


_VERBS: Final[Mapping[str, Callable[[datetime, datetime], int]]] = MappingProxyType(
    {
        REQUESTS: _requests,
        PROVIDER_MESSAGES: _provider_messages,
        EMAILS: _emails,
        ENQUIRIES: _enquiries,
        MARKETING: _permissions("marketing", "newsletter", "third_party"),
        PROFILING: _permissions("profiling"),
    }
)


def _execute(statement: str, parameters: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)
