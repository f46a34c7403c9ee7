"""The call gate: every call passes here, one or many at a time (ROU-70; the rules are in `call_rules`).

A lead that comes in is asked about without a statement: what intake knows of its person is enough (`may_answer`). Calls
that are about to leave are asked about together with one statement (`stopped`), so that who opposed a second ago is not
rung. Everything else reads all facts about any number of people with two (`verdicts`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from filiera.capture.leads import FORMS
from filiera.contacts import suppressions
from filiera.contacts.consent_rules import Act, Block
from filiera.contacts.models import Contact
from filiera.identity.models import Brand
from filiera.platform import brand_scope, bulk, events, formats
from filiera.platform.refusals import Refused
from filiera.routing import call_rules
from filiera.routing.call_rules import Basis, BrandRules, Enquiry, Facts, RegisterCheck, Stop, Verdict
from filiera.routing.models import Process

SENTENCES: Final[dict[Stop, Promise]] = {
    Stop.NO_NUMBER: gettext_lazy("Non c’è un numero che si possa chiamare"),
    Stop.RESTRICTED: gettext_lazy("Il trattamento dei suoi dati è limitato"),
    Stop.OPPOSED: gettext_lazy("Non vuole essere chiamata"),
    Stop.NO_CONSENT: gettext_lazy("Nessuna richiesta aperta e nessun consenso alle chiamate"),
    Stop.NO_PROOF: gettext_lazy("Viene da una lista acquistata senza prova del consenso"),
    Stop.REQUEST_ONLY: gettext_lazy("Questo marchio chiama solo chi lo chiede"),
    Stop.NOT_CHECKED: gettext_lazy("Il numero non è stato verificato nel Registro delle opposizioni"),
    Stop.CHECK_OLD: gettext_lazy("La verifica nel Registro delle opposizioni ha più di 15 giorni"),
    Stop.IN_REGISTER: gettext_lazy("È nel Registro delle opposizioni, e il consenso è di prima"),
    Stop.CLOSED_WINDOW: gettext_lazy("Per le promozioni è fuori orario"),
}
_MOST_ENQUIRIES: Final = 20


class CallNotAllowed(Refused):
    """The person may not be rung now; the sentence says why."""

    code = "CALL_NOT_ALLOWED"
    status = 403


class OpeningNotSaid(Refused):
    """A promotional call is saved only when its opening was said: who calls, for whom, where the data are from."""

    code = "OPENING_NOT_SAID"


def is_promotion(verdict: Verdict) -> bool:
    """Tell whether a call now is a promotion, also one that was begun before the window closed."""
    return verdict.is_promotion or verdict.stop is Stop.CLOSED_WINDOW


def demand_opening(contact_id: UUID, user_id: UUID | None, is_said: bool, now: datetime) -> None:
    """Keep that the opening of a promotional call was said. Raises OpeningNotSaid; of other calls it asks nothing."""
    if not is_promotion(verdict_of(contact_id, now=now)):
        return
    if not is_said:
        raise OpeningNotSaid(_("È una promozione: prima di salvare la chiamata spunta l’avviso di apertura."))
    by = {"user_id": str(user_id) if user_id else None}
    events.record(kind="call.opening_said", subject_id=contact_id, at=now, data=by)


def sentence(verdict: Verdict, now: datetime) -> str:
    """Return a verdict in words: the basis, or why not."""
    if verdict.stop is Stop.CLOSED_WINDOW and verdict.opens_at:
        when = {"when": formats.moment(verdict.opens_at, now)}
        return _("Per le promozioni si chiama da %(when)s") % when
    if verdict.stop is not None:
        return str(SENTENCES[verdict.stop])
    when = {"when": formats.moment(verdict.since, now) if verdict.since else ""}
    match verdict.basis:
        case Basis.REQUEST:
            return _("Consentita: risponde alla sua richiesta, %(when)s") % when
        case Basis.PURCHASE:
            return _("Consentita: riguarda il suo acquisto, %(when)s") % when
        case _:
            return _("Promozione consentita: consenso, %(when)s") % when


def may_answer(contact: Contact) -> bool:
    """Tell whether a lead that just came in may be answered by a call, from what intake knows; no statement."""
    return not contact.is_suppressed and contact.restricted_at is None


def verdict_of(contact_id: UUID, *, now: datetime, brand: Brand | None = None) -> Verdict:
    """Return whether one person may be rung now, and why."""
    return verdicts([contact_id], now=now, brand=brand)[contact_id]


def demand(contact_id: UUID, *, now: datetime) -> Verdict:
    """Return the verdict of a person who may be rung. Raises CallNotAllowed with the reason."""
    verdict = verdict_of(contact_id, now=now)
    if not verdict.may:
        raise CallNotAllowed(sentence(verdict, now))
    return verdict


def verdicts(
    contact_ids: Iterable[UUID], *, now: datetime, brand: Brand | None = None
) -> dict[UUID, Verdict]:
    """Return whether each of these people may be rung now, and why: two statements, whatever the number."""
    rules = _rules_of(brand)
    return {
        key: call_rules.decide(facts, rules, now) for key, (facts, _all) in _facts(list(contact_ids)).items()
    }


def seen_of(contact_id: UUID, *, now: datetime, brand: Brand | None = None) -> tuple[Verdict, list[Block]]:
    """Return whether one person may be rung now, and every block of theirs, also those on other channels."""
    facts, blocks = _facts([contact_id])[contact_id]
    return call_rules.decide(facts, _rules_of(brand), now), blocks


def stopped(processes: Sequence[Process], *, now: datetime) -> dict[UUID, str]:
    """Return which of these calls must not leave after all, by process, with the reason.

    One statement for calls that answer a request, two more when there are promotions among them: a permission, the
    register or the window may have ended since they were asked for.
    """
    if not processes:
        return {}
    wanted = [
        [one.id, one.contact_id, suppressions.hash_of(one.number_e164), one.received_at] for one in processes
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select w->>0, person.restricted_at is not null
            from jsonb_array_elements(%s::jsonb) w
            -- One look into the index for each: with a join the planner reads a whole brand.
            cross join lateral (select restricted_at from contacts_contact where id = (w->>1)::uuid limit 1) person
            where person.restricted_at is not null or exists (
                select from contacts_suppression s where s.kind = 'phone' and s.hash = w->>2
                and s.channel in ('any', 'call') and s.created_at > (w->>3)::timestamptz)
            """,
            [orjson.dumps(wanted).decode()],
        )
        found = {
            UUID(key): str(SENTENCES[Stop.RESTRICTED if is_restricted else Stop.OPPOSED])
            for key, is_restricted in cursor.fetchall()
        }
    promotions = {one.id: one.contact_id for one in processes if one.basis == Process.Basis.PROMOTION}
    if promotions:
        asked = verdicts(set(promotions.values()), now=now)
        for process_id, contact_id in promotions.items():
            if (stop := asked[contact_id].stop) is not None:
                found.setdefault(process_id, str(SENTENCES[stop]))
    return found


# Reading


def _rules_of(brand: Brand | None) -> BrandRules:
    brand = brand or Brand.objects.get(id=brand_scope.current())
    return BrandRules.of(brand.settings, brand.timezone)


def _facts(ids: Collection[UUID]) -> dict[UUID, tuple[Facts, list[Block]]]:
    rows = _read_people(ids)
    hashes = {key: suppressions.hash_of(key) for row in rows for key in (*row["keys"], row["number"]) if key}
    blocks, checks = _read_hashes(set(hashes.values()))
    known = {
        row["id"]: [block for key in row["keys"] for block in blocks.get(hashes[key], ())] for row in rows
    }
    return {
        row["id"]: (
            _facts_of(row, known[row["id"]], checks.get(hashes.get(row["number"], ""))),
            known[row["id"]],
        )
        for row in rows
    }


def _facts_of(row: dict[str, Any], blocks: Sequence[Block], check: RegisterCheck | None) -> Facts:
    consent = row["consent"]
    return Facts(
        number=row["number"],
        is_restricted=row["is_restricted"],
        enquiries=[
            Enquiry(datetime.fromisoformat(at), is_own, is_open) for at, is_own, is_open in row["enquiries"]
        ],
        bought_at=row["bought_at"],
        consent=Act(consent[0], consent[1], datetime.fromisoformat(consent[2])) if consent else None,
        is_unproven=bool(consent and consent[3]),
        blocks=blocks,
        check=check,
    )


def _read_people(ids: Collection[UUID]) -> list[dict[str, Any]]:
    """Return what the tables say about each person, in one statement; people of other brands are not there.

    Each part is a look into an index with a limit: with joins the planner, which believes every brand to be a small
    share of a table, reads whole brands.
    """
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select person.id, person.restricted_at is not null as is_restricted,
                   coalesce((select p.phone_e164 from contacts_contactphone p
                             where p.contact_id = person.id and p.is_active
                             order by p.is_primary desc, p.created_at limit 1), '') as number,
                   array(select p.phone_e164::text from contacts_contactphone p
                         where p.contact_id = person.id and p.phone_e164 <> ''
                         union select person.email_norm::text where person.email_norm is not null) as keys,
                   coalesce((select jsonb_agg(jsonb_build_array(e.received_at, e.is_own, e.is_open)) from (
                       select lead.received_at, coalesce(door.kind = any(%(forms)s::text[]), false) as is_own,
                              deal.id is null or deal.status = 'open' as is_open
                       from (select * from pipeline_leadevent where contact_id = person.id and not is_test
                             order by received_at desc limit %(most)s) lead
                       left join lateral (select id, status from pipeline_deal
                                          where id = lead.deal_id limit 1) deal on true
                       left join lateral (select source_id from capture_submission
                                          where id = lead.submission_id limit 1) sent on true
                       left join lateral (select kind, bought_list from capture_source
                                          where id = sent.source_id limit 1) door on true
                       where coalesce(door.bought_list, '{}') = '{}'
                       order by lead.received_at desc) e), '[]') as enquiries,
                   (select max(d.closed_at) from (
                        select closed_at, status, is_void from pipeline_deal
                        where contact_id = person.id order by opened_at desc limit %(most)s) d
                    where d.status = 'won' and not d.is_void) as bought_at,
                   (select jsonb_build_array(c.given, c.by_person, c.at,
                                             coalesce((door.bought_list->>'is_proven')::boolean = false, false))
                    from (select * from contacts_consent
                          where contact_id = person.id and purpose = 'marketing' and channel = 'call'
                          order by at desc, id desc limit 1) c
                    left join lateral (select source_id from capture_submission
                                       where id = c.submission_id limit 1) sent on true
                    left join lateral (select bought_list from capture_source
                                       where id = sent.source_id limit 1) door on true) as consent
            from unnest(%(ids)s::uuid[]) wanted(id)
            cross join lateral (select id, restricted_at, email_norm from contacts_contact c
                                where c.id = wanted.id limit 1) person
            """,
            {"ids": bulk.uuids(ids), "forms": sorted(FORMS), "most": _MOST_ENQUIRIES},
        )
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        for name in ("enquiries", "consent"):
            row[name] = orjson.loads(row[name]) if isinstance(row[name], str) else row[name]
    return rows


def _read_hashes(hashes: Collection[str]) -> tuple[dict[str, list[Block]], dict[str, RegisterCheck]]:
    """Return the blocks and the latest register check of these numbers and addresses, in one statement."""
    if not hashes:
        return {}, {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select block.* from unnest(%(hashes)s::text[]) wanted(hash) cross join lateral (
                select wanted.hash, s.channel, s.reason, s.created_at, null::boolean, null::timestamptz
                from contacts_suppression s
                where s.kind in ('phone', 'email') and s.hash = wanted.hash
                order by s.created_at desc limit 20) block
            union all
            select latest.* from unnest(%(hashes)s::text[]) wanted(hash) cross join lateral (
                select wanted.hash, '', '', r.checked_at, r.is_listed, r.listed_since
                from routing_registerresult r where r.number_hash = wanted.hash
                order by r.checked_at desc limit 1) latest
            """,
            {"hashes": list(hashes)},
        )
        blocks: dict[str, list[Block]] = {}
        checks: dict[str, RegisterCheck] = {}
        for key, channel, reason, at, is_listed, since in cursor.fetchall():
            if is_listed is None:
                blocks.setdefault(key, []).append(Block(channel, reason, at))
            else:
                checks[key] = RegisterCheck(at, is_listed, since)
    return blocks, checks
