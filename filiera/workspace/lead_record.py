"""The record of a lead: the person, the deal with its stages, the story, and whether one may call now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from filiera.contacts import consents, phones
from filiera.contacts.consents import Permissions
from filiera.contacts.models import Consent, Contact, ContactPhone
from filiera.identity.models import Brand, User
from filiera.pipeline import queries as pipeline
from filiera.pipeline import rules as pipeline_rules
from filiera.pipeline.models import Activity, Deal, LeadEvent, Stage
from filiera.pipeline.queries import Suggested
from filiera.pipeline.rules import Stay
from filiera.platform import formats
from filiera.platform.prepared import Prepared
from filiera.routing import gate
from filiera.routing.calendar import WorkingTime
from filiera.routing.call_rules import Basis, Stop, Verdict
from filiera.routing.models import CallAttempt, Decision
from filiera.workspace import calls, timeline
from filiera.workspace.calls import Outcome
from filiera.workspace.timeline import Entry

PROMOTION_STOPS = frozenset(
    {Stop.REQUEST_ONLY, Stop.NO_PROOF, Stop.NOT_CHECKED, Stop.CHECK_OLD, Stop.IN_REGISTER}
)
"""What stands against a promotion by phone although the person permitted it."""
_DECISION = Prepared(lambda one: Decision.objects.filter(contact_id=one).order_by("-created_at")[:1])


@dataclass(frozen=True, slots=True)
class CallPermission:
    """What the call button says before it is clicked (UI-03): `state` is allowed, later, refused, ringing or number."""

    state: str
    why: str
    tone: str
    icon: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """What is said first on the phone (GD-15): who calls, for whom, where the data are from, how to object.

    `must_tick` tells that the outcome of the call is saved only when the agent says that it was said.
    """

    words: Sequence[str]
    must_tick: bool


@dataclass(frozen=True, slots=True)
class Allowed:
    """A line of the permissions: whether one may, what, and why or why not."""

    may: bool
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """A stage on the thread: `look` is past, now, lost or empty."""

    stage: Stage
    look: str
    note: str


@dataclass(frozen=True, slots=True)
class Record:
    """The whole page."""

    contact: Contact
    numbers: Sequence[ContactPhone]
    deal: Deal | None
    steps: Sequence[Step]
    events: Sequence[LeadEvent]
    entries: Sequence[Entry]
    to_do: Sequence[Activity]
    call: CallPermission
    verdict: Verdict
    opening: Opening | None
    allowed: Sequence[Allowed]
    is_opposed: bool
    outcome: Outcome | None
    decision: Decision | None
    suggestion: Suggested | None
    mine: bool

    @property
    def number(self) -> ContactPhone | None:
        """Return the number one calls first."""
        return self.numbers[0] if self.numbers else None

    @property
    def whatsapp(self) -> str:
        """Return the address that opens a chat, for a number that can have one."""
        number = self.number
        if not number or not number.is_valid or not number.phone_e164:
            return ""
        return f"https://wa.me/{number.phone_e164.removeprefix('+')}"


def read(contact: Contact, *, brand: Brand, me: User, now: datetime) -> Record:
    """Read the record in a fixed number of statements."""
    known = pipeline.record_of(contact)
    process, attempt = calls.latest_of(contact.pk)
    verdict, blocks = gate.seen_of(contact.pk, now=now, brand=brand)
    permissions = consents.permissions_of(contact, blocks=blocks)
    return Record(
        contact=contact,
        numbers=known.phones,
        deal=known.deal,
        steps=_steps(known.deal, now),
        events=known.events,
        entries=timeline.of(contact.pk),
        to_do=known.tasks,
        call=permission(known.phones[0] if known.phones else None, attempt, verdict, brand=brand, now=now),
        verdict=verdict,
        opening=opening(verdict, permissions, known.events, brand=brand, me=me),
        allowed=allowed(permissions, verdict, now=now),
        is_opposed=any(block.channel in ("any", "call") for block in permissions.blocks),
        outcome=calls.outcome(process, attempt, me=me.pk, now=now),
        decision=_DECISION.first(contact.pk),
        suggestion=known.suggestions[0] if known.suggestions else None,
        mine=contact.assigned_user_id == me.pk,
    )


def permission(
    number: ContactPhone | None,
    attempt: CallAttempt | None,
    verdict: Verdict,
    *,
    brand: Brand,
    now: datetime,
) -> CallPermission:
    """Say whether one may call now, on which basis, and why not (UI-03): what the call gate says."""
    if number is None:
        return CallPermission("number", _("Non c’è un numero: aggiungilo"), "bad", "alert-circle")
    if not number.is_valid or not number.phone_e164:
        return CallPermission("number", _("Il numero non si può chiamare"), "bad", "alert-circle")
    if attempt and attempt.ended_at is None and attempt.state in (*calls.RINGING, CallAttempt.State.ANSWERED):
        return CallPermission(
            "ringing", _("Ci sta pensando %(name)s") % {"name": attempt.agent.name}, "live", "phone-call"
        )
    why = gate.sentence(verdict, now)
    if verdict.stop is Stop.CLOSED_WINDOW:
        return CallPermission("later", why, "warn", "clock")
    if verdict.stop is not None:
        return CallPermission("refused", why, "bad", "phone-off")
    working = WorkingTime.of(brand)
    if not working.is_open(now):
        opens = working.next_open(now)
        when = formats.moment(opens, now) if opens else _("mai, con questi orari e queste chiusure")
        return CallPermission("later", _("Si chiama da %(when)s") % {"when": when}, "warn", "clock")
    return CallPermission("allowed", why, "ok", "shield-check", href=f"tel:{number.phone_e164}")


def opening(
    verdict: Verdict, permissions: Permissions, events: Sequence[LeadEvent], *, brand: Brand, me: User
) -> Opening | None:
    """Return what an agent says first, or None where nobody may call."""
    if not (verdict.may or verdict.stop is Stop.CLOSED_WINDOW):
        return None
    is_promotion = gate.is_promotion(verdict)
    consent = permissions.of(Consent.Purpose.MARKETING, Consent.Channel.CALL).consent
    if is_promotion and consent is not None:
        source = _("Ho il suo numero perché ha acconsentito il %(day)s (%(source)s).") % {
            "day": formats.day_month(timezone.localtime(consent.at).date()),
            "source": consent.collected_by,
        }
    elif events:
        source = _("Ho il suo numero dalla richiesta che ci ha mandato il %(day)s (%(source)s).") % {
            "day": formats.day_month(timezone.localtime(events[0].received_at).date()),
            "source": events[0].marketing_source.name if events[0].marketing_source else events[0].source,
        }
    else:
        source = _("Ho il suo numero perché è nostro cliente.")
    return Opening(
        words=(
            _("Buongiorno, sono %(me)s e chiamo per %(brand)s.") % {"me": me.name, "brand": brand.name},
            source,
            _("Se non vuole essere chiamato me lo dica: lo segno subito."),
        ),
        must_tick=is_promotion,
    )


def allowed(permissions: Permissions, verdict: Verdict, *, now: datetime) -> list[Allowed]:
    """Return what one may do towards a person, each with its own basis (GD-04), in the words of the record."""
    lines = []
    if verdict.basis is Basis.REQUEST and verdict.since:
        why = _("sulla sua richiesta, %(when)s") % {"when": formats.moment(verdict.since, now)}
        lines.append(Allowed(True, _("Chiamata di risposta"), why))
    elif verdict.basis is Basis.PURCHASE and verdict.since:
        why = _("sul suo acquisto, %(when)s") % {"when": formats.moment(verdict.since, now)}
        lines.append(Allowed(True, _("Chiamata di servizio"), why))
    else:
        why = _("nessuna richiesta aperta a cui rispondere")
        lines.append(Allowed(False, _("Chiamata di risposta"), why))
    shown = {
        (Consent.Purpose.MARKETING.value, Consent.Channel.CALL.value): _("Chiamata promozionale"),
        (Consent.Purpose.MARKETING.value, Consent.Channel.EMAIL.value): _("E-mail promozionale"),
    }
    for one in permissions.rows:
        if one.consent and one.purpose in consents.PERMITTING:
            names = (
                one.consent.get_purpose_display(),
                one.consent.get_channel_display() if one.channel else "",
            )
            shown.setdefault((one.purpose, one.channel), ", ".join(name for name in names if name))
    for (purpose, channel), what in shown.items():
        one = permissions.of(purpose, channel)
        by_phone = (purpose, channel) == (Consent.Purpose.MARKETING, Consent.Channel.CALL)
        if one.holds and (verdict.stop is Stop.RESTRICTED or (by_phone and verdict.stop in PROMOTION_STOPS)):
            lines.append(Allowed(False, what, gate.sentence(verdict, now)))
        else:
            lines.append(Allowed(one.holds, what, why_of(one, now)))
    return lines


def why_of(one: consents.Permission, now: datetime) -> str:
    """Return the proof of a permission, or what stands against it."""
    if one.holds and one.consent:
        words = {"when": formats.moment(one.consent.at, now), "source": one.consent.collected_by}
        if one.consent.submission_id is None:
            return _("%(when)s, %(source)s") % words
        return _("%(when)s, modulo %(source)s, prova salvata") % words
    if one.block:
        words = {"when": formats.moment(one.block.at, now)}
        if one.block.reason == "opposed":
            return _("si è opposta, %(when)s") % words
        if one.block.reason == "erased":
            return _("cancellata, %(when)s") % words
        return _("revocata, %(when)s") % words
    if one.consent:
        return _("non data, %(when)s") % {"when": formats.moment(one.consent.at, now)}
    return _("nessun consenso raccolto")


def _steps(deal: Deal | None, now: datetime) -> list[Step]:
    """Return the brand's stages as the thread shows them, each with the time spent there."""
    stages = pipeline.stages()
    if deal is None:
        return [
            Step(stage, "lost" if stage.lead_state == pipeline_rules.LOST else "", "") for stage in stages
        ]
    stays = [Stay(one.stage_id, one.entered_at, one.exited_at) for one in pipeline.stays_of(deal.pk)]
    spent = pipeline_rules.total_by_stage(stays, now)
    current = _stage_now(deal, stages)
    steps = []
    for stage in stages:
        lost = stage.lead_state == pipeline_rules.LOST
        if current and stage.pk == current.pk:
            look = "now"
        elif (
            current
            and not lost
            and current.lead_state != pipeline_rules.LOST
            and stage.order_index < current.order_index
        ):
            look = "past"
        else:
            look = "lost" if lost else ""
        steps.append(Step(stage, look, _note(stage, look, deal, spent.get(stage.pk), now)))
    return steps


def _stage_now(deal: Deal, stages: Sequence[Stage]) -> Stage | None:
    """Return where a deal stands: its stage, or the one of its end."""
    if deal.status == Deal.Status.OPEN:
        here: Stage | None = deal.current_stage
        return here
    end = pipeline_rules.WON if deal.status == Deal.Status.WON else pipeline_rules.LOST
    return next((stage for stage in stages if stage.lead_state == end), None)


def _note(stage: Stage, look: str, deal: Deal, spent: timedelta | None, now: datetime) -> str:
    if look == "now" and deal.status == Deal.Status.OPEN and spent is not None:
        return _("da %(span)s") % {"span": formats.span(spent.total_seconds())}
    if look == "now" and deal.closed_at:
        return formats.moment(deal.closed_at, now)
    if spent is not None:
        return formats.span(spent.total_seconds())
    hints = {
        "in_contatto": _("con una chiamata"),
        "caldo": _("con una visita"),
        "attesa_ordine": _("con un preventivo"),
        "chiuso_vinto": _("importo e data"),
        "perso": _("chiede il motivo"),
    }
    return hints.get(stage.lead_state or "", "")


def number_problem(typed: str, brand: Brand) -> str:
    """Return what is wrong with a number as it is being typed, or nothing (UI-30)."""
    return phones.explain(phones.normalise(typed, brand.default_country))
