"""A day in Vegliasì, for the pages: `python -m tests.workspace.seed`, in the environment of a fresh database.

Ada owns, Bea sells and is rung, Carl works in the other brand. The rows are those that a morning leaves behind.
"""

import json
import os
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

PASSWORD = "una-parola-lunga"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

# name, phone, service, package, marketing source, amount, how the call went, minutes ago
MORNING = [
    ("Adele", "Brunetti", "+393510004127", "FAMILY", "BASE", "Sito", 480, "mine", 0),
    ("Corrado", "Mezzasalma", "+393520007740", "PRO", "AVANZATO", "Meta", 1140, "rings", 3),
    ("Nives", "Pellegrin", "+393470001186", "PREMIUM", "AVANZATO", "Google Ads", 2380, "answered", 4),
    ("Ottavio", "Scarpa", "+393480002231", "FAMILY", "BASE", "Sito", 480, "waits", 7),
    ("Fulvia", "Rinaldi", "+393490003345", "PRO", "BASE", "Passaparola", 960, "answered", 13),
    ("Egidio", "Furlan", "348 0001", "FAMILY", "AVANZATO", "Meta", 690, "bad", 18),
    ("Cesira", "Monti", "+393380009052", "FAMILY", "BASE", "Sito", 480, "missed", 31),
    ("Duilio", "Ferrante", "+393490006613", "PRO", "BASE", "Google Ads", 960, "answered", 40),
]


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "filiera.settings"
    import django

    django.setup()
    from django.utils import timezone

    from filiera.identity.models import Brand, User, UserRole
    from filiera.pipeline import commands as pipeline
    from filiera.platform import brand_scope

    people: dict[str, Any] = {}
    brands: dict[str, Any] = {}
    for slug, name, tagline, accent in (
        ("vegliasi", "Vegliasì", "Teleassistenza", "laguna"),
        ("quadranorma", "Quadranorma", "Impianti", "glicine"),
    ):
        brands[slug] = Brand.objects.create(name=name, slug=slug, tagline=tagline, accent=accent)
        with brand_scope.use(brands[slug].id):
            pipeline.set_up_brand()
    for name, email, roles in (
        ("Ada Rossi", "ada@vegliasi.example", {"vegliasi": "admin", "quadranorma": "admin"}),
        ("Bea Neri", "bea@vegliasi.example", {"vegliasi": "sales"}),
        ("Carl Blu", "carl@quadranorma.example", {"quadranorma": "admin"}),
    ):
        user = people[name.split()[0]] = User.objects.create_user(email, PASSWORD, name=name)
        for slug, role in roles.items():
            with brand_scope.use(brands[slug].id):
                UserRole.objects.create(user=user, role=role)
    with brand_scope.use(brands["vegliasi"].id):
        a_morning(people["Bea"], now=timezone.now())
    print(json.dumps(_signed_in([people["Ada"], people["Carl"]], now=timezone.now())))


def _signed_in(administrators: list[Any], *, now: datetime) -> dict[str, str]:
    """Give a second factor to who must have one, and sign them in: the cookie of each by e-mail.

    A code is good once, and tests come faster than the telephone shows new ones.
    """
    from filiera.identity import second_factor, sessions
    from filiera.identity.models import Session

    cookies = {}
    for person in administrators:
        second_factor.turn_on(person, secret=SECRET)
        opened = sessions.open_session(user=person, kind=Session.Kind.BROWSER, now=now)
        cookies[person.email] = opened.access
    return cookies


def a_morning(bea: Any, *, now: datetime) -> None:
    """Write the leads of a morning in the open brand scope; Bea is the first agent."""
    from filiera.capture.models import MarketingSource, Source, Submission
    from filiera.contacts import phones, rules
    from filiera.contacts.models import Contact, ContactPhone
    from filiera.pipeline.models import Activity, Deal, LeadEvent, Stage, StageHistory
    from filiera.routing.models import Agent, CallAttempt, Process

    origins = {
        name: MarketingSource.objects.create(name=name)
        for name in ("Sito", "Meta", "Google Ads", "Passaparola")
    }
    source = Source.objects.create(name="landing-vegliasi", label="Modulo del sito", kind="landing")
    agents = [
        Agent.objects.create(
            provider_agent_id=str(493933 + place),
            name=name,
            extension=1001 + place,
            sort_order=place,
            user=bea if place == 0 else None,
            last_status="online",
            provider_status="online",
        )
        for place, name in enumerate(("Bea Neri", "Oreste Belluno", "Fiamma Corradi"))
    ]
    stages = {stage.lead_state: stage for stage in Stage.objects.all()}
    state_of = {"answered": "in_contatto", "missed": "nuovo"}
    for place, (first, last, typed, service, package, origin, amount, went, ago) in enumerate(MORNING):
        at = now - timedelta(minutes=ago)
        name_key, surname_key = rules.name_keys(first, last)
        state = state_of.get(went, "nuovo")
        owner = bea if place % 2 == 0 else None
        contact = Contact.objects.create(
            first_name=first,
            last_name=last,
            name_key=name_key,
            surname_key=surname_key,
            email=f"{first}.{last}@posta.example".lower(),
            email_norm=f"{first}.{last}@posta.example".lower(),
            city="Mirano",
            status=state,
            assigned_user=owner,
            marketing_source=origins[origin],
            last_lead_at=at,
            created_at=at,
            updated_at=at,
        )
        number = phones.normalise(typed)
        ContactPhone.objects.create(
            contact=contact,
            phone_raw=typed,
            phone_norm=number.normalised,
            country_code=number.country_code,
            assumed_country=number.assumed_country,
            phone_e164=number.e164,
            is_valid=number.is_valid,
            is_match_key=True,
            is_primary=True,
            created_at=at,
        )
        deal = Deal.objects.create(
            contact=contact,
            current_stage=stages[state],
            title=f"{service} · {package}",
            amount=Decimal(amount),
            owner_user=owner,
            stage_entered_at=at,
            opened_at=at,
            created_at=at,
            updated_at=at,
        )
        StageHistory.objects.create(
            deal=deal,
            stage=stages[state],
            entered_at=at,
            changed_by="intake",
            change_reason="created",
            created_at=at,
        )
        submission = Submission.objects.create(
            source=source,
            request_id=f"r{place}",
            lead_id=f"LEAD_{place}",
            method="POST",
            path="/api/lead",
            body=b"{}",
            body_hash=f"{place:064}",
            status="processed",
            queue_state="done",
            received_at=at,
            visible_at=at,
        )
        event = LeadEvent.objects.create(
            contact=contact,
            deal=deal,
            submission=submission,
            source=source.name,
            external_id=f"e{place}",
            marketing_source=origins[origin],
            occurred_at=at,
            received_at=at,
            requested_service=service,
            requested_package=package,
            wants_brochure=place == 0,
            message="Vive sola, cerca un dispositivo con chiamata rapida." if place == 0 else "",
            created_at=at,
            updated_at=at,
        )
        process = Process.objects.create(
            number=f"lead_{place}",
            contact=contact,
            lead_event=event,
            submission=submission,
            state={"waits": "waiting", "mine": "calling", "rings": "calling"}.get(went, "done"),
            due_at=now + timedelta(seconds=34) if went == "waits" else None,
            success=went in {"answered", "missed"} or None,
            number_e164=number.e164,
            lead={"id": str(contact.pk), "name": contact.full_name, "phone": typed},
            error_code={"bad": "INVALID_PHONE", "waits": "NO_AGENTS_AVAILABLE"}.get(went, ""),
            day_of_week=at.weekday(),
            hour_of_day=at.hour,
            received_at=at,
            created_at=at,
        )
        if went == "mine":
            _choose_bea(contact, process, agents, now)
        if went in {"mine", "rings", "answered", "missed"}:
            ringing = went in {"mine", "rings"}
            CallAttempt.objects.create(
                process=process,
                agent=agents[0 if went == "mine" else 1 + place % 2],
                number_e164=number.e164,
                requested_at=now if ringing else at + timedelta(seconds=38),
                http_status=200,
                state={"answered": "answered", "missed": "missed"}.get(went, "accepted"),
                agent_answered_at=at + timedelta(seconds=45) if went == "answered" else None,
                talking_seconds=192 if went == "answered" else None,
                ended_at=None if ringing else at + timedelta(minutes=4),
            )
        if went == "missed":
            Activity.objects.create(
                contact=contact,
                deal=deal,
                type="chiamata",
                status="planned",
                title="Chiamare",
                note="“Richiamate dopo le 11.”",
                scheduled_at=now - timedelta(minutes=20),
                user=bea,
                created_at=at,
                updated_at=at,
            )
    Submission.objects.create(
        source=source,
        request_id="unread",
        lead_id="LEAD_unread",
        method="POST",
        path="/api/lead",
        body=b"{}",
        body_hash="f" * 64,
        status="rejected",
        queue_state="done",
        error_code="NO_CONTACT",
        received_at=now,
        visible_at=now,
    )


def _choose_bea(contact: Any, process: Any, agents: list[Any], now: datetime) -> None:
    """Write the decision that gave a lead to Bea by the credit rule, as routing would: replaying it gives the same."""
    from filiera.routing import rules
    from filiera.routing.models import Decision

    candidates = [
        rules.Candidate(
            id=str(agent.pk),
            name=agent.name,
            sort_order=agent.sort_order,
            provider_agent_id=agent.provider_agent_id,
            weight=2 if agent is agents[0] else 1,
            provider_status="calling" if agent is agents[2] else "online",
        )
        for agent in agents
    ]
    before = rules.State(last=str(agents[1].pk), last_sort_order=1, total=6)
    choice = rules.decide(rules.Ask(at=now), candidates, before, rule=rules.Rule.CREDIT, version=7)
    Decision.objects.create(
        sequence=1,
        process=process,
        contact=contact,
        lead_event=process.lead_event,
        rule=choice.rule.value,
        rule_version=7,
        candidates=rules.record_pool(choice.pool),
        state_before=choice.state_before.as_json(),
        state_after=choice.state_after.as_json(),
        agent=agents[0],
        reason=rules.reason_for(choice),
        created_at=now,
    )


if __name__ == "__main__":
    main()
