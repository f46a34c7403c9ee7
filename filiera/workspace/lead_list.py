"""The list of leads: what its address asks for, the rows of a page, and the counts of the ready-made views."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from filiera.capture.models import MarketingSource
from filiera.contacts import phones, tags
from filiera.contacts.models import LeadState
from filiera.identity.models import Brand, User, UserRole
from filiera.pipeline import lead_conditions
from filiera.pipeline import queries as pipeline
from filiera.pipeline.lead_conditions import Condition, Group, Reader
from filiera.pipeline.queries import Cursor, LeadFilter, ListedLead
from filiera.platform import formats
from filiera.platform.prepared import Prepared
from filiera.routing import gate
from filiera.routing.call_rules import Stop, Verdict
from filiera.workspace import calls
from filiera.workspace.calls import Outcome
from filiera.workspace.templatetags import ui

EVERYBODY = "?vista=tutti"
"""The address of the whole list, also for whom another view opens by itself."""
PAGE = 50
PAGE_FOUND = 20
"""Rows of a page that a text found: they lie anywhere in the tables, and who is meant stands near the top."""
DAYS = {"oggi": 0, "7": 7, "30": 30, "90": 90}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for. Unknown values are dropped, so that an old link still opens."""

    states: tuple[str, ...] = ()
    arrived: str = ""
    source: UUID | None = None
    owner: str = ""  # "io", "nessuno" or a user's id
    returning: bool = False
    no_next: bool = False
    text: str = ""
    groups: tuple[Group, ...] = ()
    any_group: bool = False
    view: UUID | None = field(default=None, compare=False)  # the saved view one came from

    @classmethod
    def read(cls, query: QueryDict) -> "Asked":
        states = tuple(state for state in LeadState.values if state in query.getlist("stato"))
        owner = query.get("titolare", "")
        return cls(
            states=states,
            arrived=query.get("arrivato", "") if query.get("arrivato") in DAYS else "",
            source=_uuid(query.get("fonte", "")),
            owner=owner if owner in {"io", "nessuno"} or _uuid(owner) else "",
            returning=query.get("ritorna") == "si",
            no_next=query.get("prossima") == "nessuna",
            text=query.get("q", "").replace("\x00", "").strip()[:100],
            groups=_groups(query),
            any_group=query.get("gruppi") == "uno",
            view=_uuid(query.get("vista", "")),
        )

    @property
    def address(self) -> str:
        """Return the query of the address that asks for this."""
        pairs: list[tuple[str, str]] = [("stato", state) for state in self.states]
        pairs += [("arrivato", self.arrived), ("fonte", str(self.source or "")), ("titolare", self.owner)]
        pairs += [
            ("ritorna", "si" if self.returning else ""),
            ("prossima", "nessuna" if self.no_next else ""),
        ]
        pairs += [("q", self.text), ("gruppi", "uno" if self.any_group and self.groups else "")]
        pairs += [
            ("f", ".".join((str(place), one.field, one.how, one.value)))
            for place, group in enumerate(self.groups, 1)
            for one in group
        ]
        pairs.append(("vista", str(self.view or "")))
        kept = [(name, value) for name, value in pairs if value]
        return f"?{urlencode(kept)}" if kept else "?"

    @property
    def query(self) -> str:
        """Return the question alone, as a saved view keeps it."""
        return replace(self, view=None).address.removeprefix("?")

    @property
    def is_filtered(self) -> bool:
        return self != Asked()

    @property
    def is_long_to_count(self) -> bool:
        """Tell whether counting looks at more than one index: the number then comes after the rows."""
        return self.no_next or bool(self.groups)

    def wanted(self, *, me: User, now: datetime) -> LeadFilter:
        """Return the filter this means for one person at one moment."""
        reader = Reader(me=me.pk, team=team_of(me) if self._asks_for_team else (), now=now)
        local = timezone.localtime(now)
        midnight = datetime.combine(local.date(), time.min, local.tzinfo)
        owners = {"": (), "io": (me.pk,), "nessuno": (None,)}
        return LeadFilter(
            states=self.states,
            marketing_source_ids=(self.source,) if self.source else (),
            owner_ids=owners[self.owner] if self.owner in owners else (UUID(self.owner),),
            arrived_from=midnight - timedelta(days=DAYS[self.arrived]) if self.arrived else None,
            text=self.text,
            only_returning=self.returning,
            without_next_activity=self.no_next,
            groups=self.groups,
            any_group=self.any_group,
            reader=reader,
        )

    def without(self, group: int, condition: Condition) -> "Asked":
        """Return the same without one condition of one group."""
        left = [
            tuple(one for one in conditions if place != group or one != condition)
            for place, conditions in enumerate(self.groups)
        ]
        return replace(self, groups=tuple(conditions for conditions in left if conditions))

    @property
    def _asks_for_team(self) -> bool:
        return any(one.value == lead_conditions.TEAM for group in self.groups for one in group)


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter in force: its field, its value in words, and the address without it."""

    label: str
    value: str
    without: str
    join: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A ready-made question with its live count, empty when that is long to take and comes by itself."""

    label: str
    address: str
    count: str
    is_current: bool
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One lead of the list and how its last call went, in the words of each cell."""

    lead: ListedLead
    outcome: Outcome | None
    me: UUID
    now: datetime
    verdict: Verdict

    @property
    def key(self) -> str:
        return str(self.lead.contact_id)

    @property
    def name(self) -> str:
        return self.lead.full_name or _("Senza nome")

    @property
    def returns(self) -> bool:
        return self.lead.lead_count > 1

    @property
    def state(self) -> str:
        return ui.stage(self.lead.status)

    @property
    def wish(self) -> str:
        """Return what was asked for last: `FAMILY · BASE`."""
        return " · ".join(part for part in (self.lead.service, self.lead.package) if part) or "–"

    @property
    def owner(self) -> str:
        return ui.person(self.lead.owner, self.lead.owner_id == self.me) if self.lead.owner else ""

    @property
    def next(self) -> str:
        """Return what is to be done, or the call when it matters more: it rings, waits or went wrong."""
        if self.outcome is not None and self.outcome.tone in {"live", "warn", "bad"}:
            return ui.tag(self.outcome.tone, self.outcome.icon, self.outcome.words)
        return ui.to_do(self.lead.next_type, self.lead.next_at, self.now) if self.lead.next_type else ""

    @property
    def value(self) -> str:
        return formats.money(self.lead.amount) if self.lead.amount else ""

    @property
    def at(self) -> str:
        return self.lead.last_lead_at.isoformat(timespec="seconds")

    @property
    def at_in_full(self) -> str:
        return ui.hover(self.lead.last_lead_at)

    @property
    def arrived(self) -> str:
        return ui.when(self.lead.last_lead_at, self.now)

    @property
    def has_number(self) -> bool:
        return bool(self.lead.phone_is_valid and self.lead.phone_e164)

    @property
    def why(self) -> str:
        """Return on which basis one may call, or why not."""
        return gate.sentence(self.verdict, self.now)

    @property
    def number(self) -> str:
        """Return the number as people read it; one that cannot be understood stays as it was typed."""
        if not self.lead.phone_e164:
            return self.lead.phone_raw or ""
        return phones.display_short(self.lead.phone_e164, self.lead.phone_country)

    @property
    def number_typed(self) -> str:
        """Return the number as it stands in the field that edits it."""
        return self.lead.phone_e164 or self.lead.phone_raw or ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rows. `total` sums the amounts shown; `after` is the key of the next page, empty on the last."""

    rows: Sequence[Row]
    total: Decimal
    after: str


def page(asked: Asked, *, me: User, after: str = "", now: datetime, brand: Brand | None = None) -> Page:
    """Read one page in a fixed number of statements, newest arrival first."""
    wanted, limit = asked.wanted(me=me, now=now), PAGE_FOUND if asked.text else PAGE
    leads, follows = pipeline.listed_page(wanted, limit=limit, after=Cursor.read(after))
    return Page(
        rows=with_calls(leads, me=me.pk, now=now, brand=brand),
        total=sum((lead.amount for lead in leads if lead.amount), Decimal(0)),
        after=str(follows or ""),
    )


def rows_of(contact_ids: Sequence[UUID], *, me: UUID, now: datetime) -> list[Row]:
    """Return the rows of some people, in the order given."""
    return with_calls(pipeline.listed(contact_ids), me=me, now=now)


def with_calls(
    leads: Sequence[ListedLead], *, me: UUID, now: datetime, brand: Brand | None = None
) -> list[Row]:
    """Put beside each lead how its last call went and whether one may call now, in five statements."""
    ids = [lead.contact_id for lead in leads]
    processes = calls.latest_processes(ids)
    attempts = calls.latest_attempts(processes.values())
    verdicts = gate.verdicts(ids, now=now, brand=brand) if ids else {}
    return [
        Row(
            lead=lead,
            outcome=calls.outcome(process, attempts.get(process.pk) if process else None, me=me, now=now),
            me=me,
            now=now,
            verdict=verdicts.get(lead.contact_id, Verdict(stop=Stop.NO_NUMBER)),
        )
        for lead in leads
        for process in [processes.get(lead.contact_id)]
    ]


def views(
    asked: Asked,
    *,
    me: User,
    now: datetime,
    saved: Sequence[tuple[str, Asked]] = (),
    whole: Page | None = None,
) -> list[View]:
    """Return the ready-made views and the saved ones with their counts; what is asked stands last when it is none.

    A saved view that was changed since it was opened stays the current one and is marked so. `whole` is the page that
    holds all of what is asked, if one does.
    """
    ready = [
        (_("Tutti"), Asked()),
        (_("I miei da chiamare"), Asked(owner="io", states=(LeadState.NUOVO, LeadState.IN_CONTATTO))),
        (_("Caldi"), Asked(states=(LeadState.CALDO, LeadState.ATTESA_ORDINE))),
        (_("Nuovi di nessuno"), Asked(owner="nessuno", states=(LeadState.NUOVO,))),
        (_("Ritornano"), Asked(returning=True)),
        (_("Arrivati oggi"), Asked(arrived="oggi")),
    ]
    ready += saved
    at = _place_of(asked, [question for _label, question in ready])
    if at is None:
        at = len(ready)
        ready.append((_("Questa ricerca"), asked))
    is_changed = ready[at][1] != asked
    questions = [question for _label, question in ready]
    to_count = [*questions[:at], asked, *questions[at + 1 :]]
    soon = [question for question in to_count if not question.is_long_to_count]
    counts = dict(zip(soon, counted(soon, me=me, now=now), strict=True))
    if whole is not None:
        counts[asked] = formats.number(len(whole.rows))
    return [
        View(
            label,
            question.address if question.is_filtered else EVERYBODY,
            counts.get(to_count[place], ""),
            place == at,
            is_changed and place == at,
        )
        for place, (label, question) in enumerate(ready)
    ]


def _place_of(asked: Asked, questions: Sequence[Asked]) -> int | None:
    """Return which of these is open: the saved view that the address names, else the first that asks the same."""
    for place, question in enumerate(questions):
        if asked.view is not None and question.view == asked.view:
            return place
    return next((place for place, question in enumerate(questions) if question == asked), None)


def chips(asked: Asked, sources: Iterable[MarketingSource]) -> list[Chip]:
    """Return the filters in force, each with the address that takes it away. `sources` are the brand's."""
    found = []
    if asked.states:
        words = ", ".join(str(LeadState(state).label) for state in asked.states)
        found.append(Chip(_("Stato"), words, replace(asked, states=()).address))
    if asked.arrived:
        found.append(Chip(_("Arrivato"), dict(arrivals())[asked.arrived], replace(asked, arrived="").address))
    if asked.source:
        name = next((source.name for source in sources if source.pk == asked.source), "")
        found.append(Chip(_("Fonte"), name or _("sconosciuta"), replace(asked, source=None).address))
    if asked.owner:
        found.append(Chip(_("Titolare"), _owner_words(asked.owner), replace(asked, owner="").address))
    if asked.returning:
        found.append(Chip(_("Richieste"), _("più di una"), replace(asked, returning=False).address))
    if asked.no_next:
        found.append(Chip(_("Prossima attività"), _("nessuna"), replace(asked, no_next=False).address))
    if asked.text:
        found.append(Chip(_("Cerca"), asked.text, replace(asked, text="").address))
    names = {str(source.pk): source.name for source in sources}
    for place, group in enumerate(asked.groups):
        for number, one in enumerate(group):
            join = _("oppure") if bool(number) != asked.any_group else _("e")
            label, value = _said(one, names)
            found.append(
                Chip(label, value, asked.without(place, one).address, join if number or place else "")
            )
    return [one if one.without != "?" else replace(one, without=EVERYBODY) for one in found]


def _said(one: Condition, sources: Mapping[str, str]) -> tuple[str, str]:
    """Return a condition in words: its field with the comparison, and its value."""
    field, how = lead_conditions.FIELDS[one.field], str(lead_conditions.HOW[one.how])
    if one.how in lead_conditions.WITHOUT_VALUE:
        return str(field.label), how
    value = one.value
    if field.kind == "state":
        value = str(LeadState(value).label)
    elif field.kind == "source":
        value = sources.get(value, _("sconosciuta"))
    elif field.kind == "tag":
        value = next((one.path for one in tags.tree() if str(one.tag.pk) == value), _("sconosciuta"))
    elif field.kind == "person":
        value = _owner_words(value)
    elif one.how in ("dal", "al"):
        value = formats.day_month(date.fromisoformat(value)) + value[:4].rjust(5)
    return f"{field.label} {how}", value


def _groups(query: QueryDict) -> tuple[Group, ...]:
    """Return the groups of conditions of an address; what means nothing is left out.

    `f=1.citta.contiene.Mirano` is one; a form sends the parts of each beside each other instead.
    """
    told = [text.split(".", 3) for text in query.getlist("f")]
    columns = [query.getlist(name) for name in ("gruppo", "campo", "come", "valore")]
    told += [list(parts) for parts in zip(*columns, strict=False)]
    groups: dict[str, list[Condition]] = {}
    for place, about, how, value in [one for one in told if len(one) == 4][: lead_conditions.MOST]:
        condition = lead_conditions.read(about, how, value)
        if condition is not None and condition not in groups.setdefault(place, []):
            groups[place].append(condition)
    return tuple(tuple(group) for group in groups.values() if group)


def without_one(
    asked: Asked, sources: Iterable[MarketingSource], *, me: User, now: datetime
) -> list[tuple[Chip, str]]:
    """Return, for an empty list, each filter with how many leads there are without it (UI-43)."""
    found = chips(asked, sources)
    questions = [Asked.read(QueryDict(chip.without.removeprefix("?"))) for chip in found]
    return list(zip(found, counted(questions, me=me, now=now), strict=True))


def arrivals() -> list[tuple[str, str]]:
    """Return the choices of "Arrivato" with their words."""
    return [
        ("oggi", _("oggi")),
        ("7", _("ultimi 7 giorni")),
        ("30", _("ultimi 30 giorni")),
        ("90", _("ultimi 90 giorni")),
    ]


_COLLEAGUES = Prepared(
    lambda _one: (
        User.objects.filter(pk__in=UserRole.objects.values("user"), is_active=True)
        .only("name")
        .order_by("name")
    )
)
_SOURCES = Prepared(lambda _one: MarketingSource.objects.order_by("name"))


def sources() -> list[MarketingSource]:
    """Return the marketing sources of the brand, by name."""
    return _SOURCES()


def colleagues() -> list[User]:
    """Return who works in the brand, by name."""
    return _COLLEAGUES()


def team_of(me: User) -> set[UUID]:
    """Return who shares a role with a person in the open brand, themselves too."""
    mine = UserRole.objects.filter(user=me).values("role")
    return set(UserRole.objects.filter(role__in=mine).values_list("user_id", flat=True)) | {me.pk}


def counted(questions: Iterable[Asked], *, me: User, now: datetime) -> list[str]:
    """Return how many leads each question finds, exact up to 10.000, then "10.000+" (UI-24)."""
    return [
        f"{formats.number(pipeline.MOST_COUNTED)}+" if n > pipeline.MOST_COUNTED else formats.number(n)
        for n in pipeline.count_lists(asked.wanted(me=me, now=now) for asked in questions)
    ]


def _owner_words(owner: str) -> str:
    if owner == "io":
        return _("io")
    if owner == "nessuno":
        return _("nessuno")
    if owner == lead_conditions.TEAM:
        return _("il mio team")
    here = User.objects.filter(
        pk=owner, pk__in=UserRole.objects.values("user")
    )  # a name of nobody else's brand
    return here.values_list("name", flat=True).first() or _("sconosciuto")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
