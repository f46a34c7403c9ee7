"""The list of leads: what its address asks for, the rows of a page, and the counts of the ready-made views."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Exists, F, Func, OuterRef, Q, QuerySet, Value
from django.db.models.fields import BooleanField
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from filiera.capture.models import MarketingSource
from filiera.contacts import phones
from filiera.contacts.models import Contact, ContactPhone, LeadState
from filiera.contacts.rules import folded
from filiera.identity.models import User, UserRole
from filiera.pipeline.models import Activity, Deal, LeadEvent
from filiera.platform import formats
from filiera.workspace import calls
from filiera.workspace.calls import Outcome

PAGE = 50
COUNTED_TO = 10_000
"""Counts are exact up to here, then "10.000+" (UI-24)."""

DAYS = {"oggi": 0, "7": 7, "30": 30, "90": 90}
ACTIVE = (LeadState.NUOVO, LeadState.IN_CONTATTO, LeadState.CALDO, LeadState.ATTESA_ORDINE)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for. Unknown values are dropped, so that an old link still opens."""

    states: tuple[str, ...] = ()
    arrived: str = ""
    source: UUID | None = None
    owner: str = ""  # "io", "nessuno" or a user's id
    no_next: bool = False
    text: str = ""

    @classmethod
    def read(cls, query: QueryDict) -> "Asked":
        states = tuple(state for state in LeadState.values if state in query.getlist("stato"))
        owner = query.get("titolare", "")
        return cls(
            states=states,
            arrived=query.get("arrivato", "") if query.get("arrivato") in DAYS else "",
            source=_uuid(query.get("fonte", "")),
            owner=owner if owner in {"io", "nessuno"} or _uuid(owner) else "",
            no_next=query.get("prossima") == "nessuna",
            text=query.get("q", "").replace("\x00", "").strip()[:100],
        )

    @property
    def address(self) -> str:
        """Return the query of the address that asks for this."""
        pairs: list[tuple[str, str]] = [("stato", state) for state in self.states]
        pairs += [("arrivato", self.arrived), ("fonte", str(self.source or "")), ("titolare", self.owner)]
        pairs += [("prossima", "nessuna" if self.no_next else ""), ("q", self.text)]
        kept = [(name, value) for name, value in pairs if value]
        return f"?{urlencode(kept)}" if kept else "?"

    @property
    def is_filtered(self) -> bool:
        return self != Asked()


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter in force: its field, its value in words, and the address without it."""

    label: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class View:
    """A ready-made question with its live count."""

    label: str
    address: str
    count: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One lead of the list."""

    contact: Contact
    phone: ContactPhone | None
    event: LeadEvent | None
    deal: Deal | None
    outcome: Outcome | None
    next_activity: Activity | None
    mine: bool

    @property
    def number(self) -> str:
        """Return the number as people read it; one that cannot be understood stays as it was typed."""
        if self.phone is None:
            return ""
        if not self.phone.phone_e164:
            return self.phone.phone_raw
        return phones.display_short(self.phone.phone_e164, self.phone.country_code)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rows. `after` is the key of the next page, empty on the last."""

    rows: Sequence[Row]
    count: str
    total: Decimal
    after: str
    chips: Sequence[Chip] = field(default=())


def page(asked: Asked, *, me: User, after: str = "", now: datetime) -> Page:
    """Read one page in a fixed number of statements, newest arrival first."""
    found = leads(asked, me=me, now=now)
    here = _from_key(found, after).select_related("assigned_user", "marketing_source")
    contacts = list(here.order_by("-last_lead_at", "-id")[: PAGE + 1])
    rows = rows_of(contacts[:PAGE], me=me.id, now=now)
    return Page(
        rows=rows,
        count=counted(found),
        total=sum((row.deal.amount for row in rows if row.deal and row.deal.amount), Decimal(0)),
        after=key_of(contacts[PAGE - 1]) if len(contacts) > PAGE else "",
        chips=chips(asked),
    )


def leads(asked: Asked, *, me: User, now: datetime) -> QuerySet[Contact]:
    """Return the people the address asks for, without order. Only comparisons that use an index under row security."""
    found = Contact.objects.filter(deleted_at__isnull=True, merged_into__isnull=True)
    if asked.states:
        found = found.filter(status__in=asked.states)
    if asked.arrived:
        midnight = datetime.combine(timezone.localtime(now).date(), time.min, timezone.localtime(now).tzinfo)
        found = found.filter(last_lead_at__gte=midnight - timedelta(days=DAYS[asked.arrived]))
    if asked.source:
        found = found.filter(marketing_source=asked.source)
    if asked.owner:
        found = found.filter(assigned_user=_owner(asked.owner, me))
    if asked.no_next:
        planned = Activity.objects.filter(contact=OuterRef("pk"), status=Activity.Status.PLANNED)
        found = found.filter(~Exists(planned))
    return found.filter(matching(asked.text)) if asked.text else found


def matching(text: str) -> Q:
    """Return who a text may mean: a number, an e-mail or the beginning of a name."""
    beginning = Value(folded(text))
    meant = Q(StartsWith(F("name_key"), beginning)) | Q(StartsWith(F("surname_key"), beginning))
    if "@" in text:
        meant |= Q(email_norm=text.strip().lower())
    if sum(character.isdigit() for character in text) >= 6:
        numbers = ContactPhone.objects.filter(phone_norm=phones.normalise(text).normalised, is_active=True)
        meant |= Q(pk__in=numbers.values("contact"))
    return meant


class StartsWith(Func):
    """`starts_with(text, prefix)`: leakproof, unlike LIKE, so the index works under row security."""

    function = "starts_with"
    output_field = BooleanField()


def rows_of(contacts: Sequence[Contact], *, me: UUID, now: datetime) -> list[Row]:
    """Return the rows of some people, with one statement for each thing beside them."""
    ids = [contact.pk for contact in contacts]
    numbers = {
        phone.contact_id: phone
        for phone in ContactPhone.objects.filter(contact__in=ids, is_active=True).order_by(
            "is_primary", "created_at"
        )
    }
    events = {
        event.contact_id: event
        for event in LeadEvent.objects.filter(contact__in=ids, archived=False)
        .order_by("contact", "-received_at")
        .distinct("contact")
    }
    deals = {
        deal.contact_id: deal
        for deal in Deal.objects.filter(contact__in=ids).order_by("contact", "-opened_at").distinct("contact")
    }
    planned = {
        activity.contact_id: activity
        for activity in Activity.objects.filter(contact__in=ids, status=Activity.Status.PLANNED)
        .order_by("contact", "scheduled_at")
        .distinct("contact")
    }
    processes = calls.latest_processes(ids)
    attempts = calls.latest_attempts(processes.values())
    return [
        Row(
            contact=contact,
            phone=numbers.get(contact.pk),
            event=events.get(contact.pk),
            deal=deals.get(contact.pk),
            outcome=calls.outcome(process, attempts.get(process.pk) if process else None, me=me, now=now),
            next_activity=planned.get(contact.pk),
            mine=contact.assigned_user_id == me,
        )
        for contact in contacts
        for process in [processes.get(contact.pk)]
    ]


def views(asked: Asked, *, me: User, now: datetime) -> list[View]:
    """Return the ready-made views with their counts; the one in force is marked."""
    ready = [
        (_("Tutti"), Asked()),
        (_("I miei da chiamare"), Asked(owner="io", states=(LeadState.NUOVO, LeadState.IN_CONTATTO))),
        (_("Caldi"), Asked(states=(LeadState.CALDO, LeadState.ATTESA_ORDINE))),
        (_("Di nessuno"), Asked(owner="nessuno", states=ACTIVE)),
        (_("Arrivati oggi"), Asked(arrived="oggi")),
    ]
    return [
        View(
            label=label,
            address=question.address,
            count=counted(leads(question, me=me, now=now)),
            is_current=question == asked,
        )
        for label, question in ready
    ]


def chips(asked: Asked) -> list[Chip]:
    """Return the filters in force, each with the address that takes it away."""
    found = []
    if asked.states:
        words = ", ".join(str(LeadState(state).label) for state in asked.states)
        found.append(Chip(_("Stato"), words, replace(asked, states=()).address))
    if asked.arrived:
        found.append(
            Chip(_("Arrivato"), str(dict(arrivals())[asked.arrived]), replace(asked, arrived="").address)
        )
    if asked.source:
        name = MarketingSource.objects.filter(pk=asked.source).values_list("name", flat=True).first()
        found.append(Chip(_("Fonte"), name or _("sconosciuta"), replace(asked, source=None).address))
    if asked.owner:
        found.append(Chip(_("Titolare"), _owner_words(asked.owner), replace(asked, owner="").address))
    if asked.no_next:
        found.append(Chip(_("Prossima attività"), _("nessuna"), replace(asked, no_next=False).address))
    if asked.text:
        found.append(Chip(_("Cerca"), asked.text, replace(asked, text="").address))
    return found


def without_one(asked: Asked, *, me: User, now: datetime) -> list[tuple[Chip, str]]:
    """Return, for an empty list, each filter with how many leads there are without it (UI-43)."""
    return [
        (chip, counted(leads(Asked.read(QueryDict(chip.without.removeprefix("?"))), me=me, now=now)))
        for chip in chips(asked)
    ]


def arrivals() -> list[tuple[str, str]]:
    """Return the choices of "Arrivato" with their words."""
    return [
        ("oggi", _("oggi")),
        ("7", _("ultimi 7 giorni")),
        ("30", _("ultimi 30 giorni")),
        ("90", _("ultimi 90 giorni")),
    ]


def colleagues() -> list[User]:
    """Return who works in the brand, by name."""
    return list(User.objects.filter(pk__in=UserRole.objects.values("user"), is_active=True).order_by("name"))


def counted(found: QuerySet[Contact]) -> str:
    """Return how many, exact up to 10.000."""
    n = found.order_by()[: COUNTED_TO + 1].count()
    return f"{formats.number(COUNTED_TO)}+" if n > COUNTED_TO else formats.number(n)


def key_of(contact: Contact) -> str:
    """Return where a row stands in the order of the list."""
    return f"{contact.last_lead_at.astimezone(UTC).isoformat()}~{contact.pk}"


def _from_key(found: QuerySet[Contact], key: str) -> QuerySet[Contact]:
    """Return what follows a row; a key that cannot be read starts from the top."""
    moment, _tilde, pk = key.partition("~")
    try:
        at, row = datetime.fromisoformat(moment), UUID(pk)
    except ValueError:
        return found
    if at.tzinfo is None:
        return found
    return found.filter(last_lead_at__lte=at).filter(Q(last_lead_at__lt=at) | Q(last_lead_at=at, pk__lt=row))


def _owner(owner: str, me: User) -> UUID | None:
    if owner == "io":
        return me.pk
    return None if owner == "nessuno" else UUID(owner)


def _owner_words(owner: str) -> str:
    if owner == "io":
        return _("io")
    if owner == "nessuno":
        return _("nessuno")
    return User.objects.filter(pk=owner).values_list("name", flat=True).first() or _("sconosciuto")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def neighbours(asked: Asked, contact: Contact, *, me: User, now: datetime) -> tuple[UUID | None, UUID | None]:
    """Return who stands before and after a person in the list they came from (UI-06)."""
    found = leads(asked, me=me, now=now)
    at, pk = contact.last_lead_at, contact.pk
    above = found.filter(last_lead_at__gte=at).filter(Q(last_lead_at__gt=at) | Q(last_lead_at=at, pk__gt=pk))
    below = found.filter(last_lead_at__lte=at).filter(Q(last_lead_at__lt=at) | Q(last_lead_at=at, pk__lt=pk))
    return _first(above.order_by("last_lead_at", "id")), _first(below.order_by("-last_lead_at", "-id"))


def _first(found: QuerySet[Contact]) -> UUID | None:
    return found.values_list("pk", flat=True).first()
