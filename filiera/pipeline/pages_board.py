"""The board: the page, more cards of a column, moves and the way back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from filiera.capture.models import MarketingSource
from filiera.contacts.models import LeadState
from filiera.identity.models import User, UserRole
from filiera.identity.permissions import Principal, demand
from filiera.pipeline import board, commands
from filiera.pipeline.models import Deal, Stage
from filiera.platform.refusals import Invalid, Missing, Refused

_MOST_AT_ONCE = 50
_PERIODS = ("today", "week", "month", "quarter")


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a filter."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter in force: its field and value in words, and the address of the board without it."""

    field: str
    value: str
    without: str


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """Show the board with the first cards of each column."""
    principal = demand(request, "manage_deals")
    now = timezone.now()
    columns = board.columns(_wanted(request.GET, principal, now), me=principal.user.id, now=now)
    query = _query(request.GET)
    owners, marketing_sources = _owners(principal), _marketing_sources()
    context = {
        "page": "board",
        "page_title": _("Bacheca"),
        "columns": [
            _with_more(column, query) if column.remaining and column.cards else column for column in columns
        ],
        "is_empty": not any(column.count for column in columns),
        "filters": _filters(request.GET, owners, marketing_sources),
        "wanted": {name: request.GET.get(name, "") for name in ("owner", "source", "opened")},
        "owners": owners,
        "marketing_sources": marketing_sources,
        "opened_choices": [Choice(code, label) for code, label in _period_labels().items()],
        "lost_reasons": _lost_reasons(),
        **_shared(principal, now),
    }
    return render(request, "pipeline/board.html", context)


@require_GET
def column(request: HttpRequest, stage_id: UUID) -> HttpResponse:
    """Answer the cards of a column that follow the cursor in `after`."""
    principal = demand(request, "manage_deals")
    now = timezone.now()
    stage = _stage(stage_id)
    wanted = _wanted(request.GET, principal, now)
    cards, follow = board.more(
        stage, wanted, after=request.GET.get("after", ""), me=principal.user.id, now=now
    )
    head = board.heads([stage], wanted, now=now)[0]
    head = replace(head, cards=cards, shown_before=_whole(request.GET.get("shown", "")))
    context = {
        "column": _with_more(head, _query(request.GET)) if follow else head,
        **_shared(principal, now),
    }
    return render(request, "pipeline/_board_cards.html", context)


@require_POST
def move(request: HttpRequest) -> HttpResponse:
    """Move deals, given as `deal=id:version`, to `stage`; a stage that means won or lost closes them.

    Answers what the page puts in place: heads of the columns, the cards where they now are, a sentence and the way
    back. A card that meanwhile changed stays where it is, and the sentence says so (409 STALE_OBJECT in the API).
    """
    principal = demand(request, "manage_deals")
    now = timezone.now()
    stage = _stage(_uuid(request.POST.get("stage", "")))
    asked = _deals(request.POST.getlist("deal"))
    before = board.stage_ids_of([deal_id for deal_id, _version in asked])
    try:
        closing = _closing(stage, request.POST, now)
    except Invalid as refusal:
        return JsonResponse({"text": str(refusal), "details": refusal.details}, status=refusal.status)
    moved: list[Deal] = []
    refused: list[tuple[UUID, Refused]] = []
    for deal_id, version in asked:
        try:
            moved.append(_move_one(deal_id, version, stage, closing, principal.user, now))
        except Missing:
            raise
        except Refused as refusal:
            refused.append((deal_id, refusal))
    undo = _undo_address(moved, before) if moved else ""
    return _answer(
        request,
        principal,
        now=now,
        stages={stage.id, *before.values()},
        deal_ids=[deal_id for deal_id, _version in asked],
        text=_say_moved(moved, stage, refused),
        undo=undo,
        status=409 if refused and not moved else 200,
    )


@require_POST
def undo(request: HttpRequest) -> HttpResponse:
    """Take the last move back: each `deal=id:version:stage` returns to its stage, reopened when the move closed it."""
    principal = demand(request, "manage_deals")
    now = timezone.now()
    touched: set[UUID] = set()
    deal_ids: list[UUID] = []
    refusals: list[Refused] = []
    for text in request.GET.getlist("deal")[:_MOST_AT_ONCE]:
        deal_id, version, stage_id = _undo_parts(text)
        deal_ids.append(deal_id)
        touched.add(stage_id)
        try:
            touched.add(_undo_one(deal_id, version, stage_id, principal.user, now))
        except Missing:
            raise
        except Refused as refusal:
            refusals.append(refusal)
    text = (
        str(refusals[0])
        if refusals
        else ngettext(
            "La trattativa è tornata dov’era.", "Le trattative sono tornate dov’erano.", len(deal_ids)
        )
    )
    return _answer(request, principal, now=now, stages=touched, deal_ids=deal_ids, text=text)


def answer_new(request: HttpRequest, deal: Deal, *, text: str) -> HttpResponse:
    """Answer the card of a deal that was just opened, for the room that opens it."""
    principal = demand(request, "manage_deals")
    stages = {deal.current_stage_id} if deal.current_stage_id else set()
    return _answer(request, principal, now=timezone.now(), stages=stages, deal_ids=[deal.id], text=text)


def _answer(
    request: HttpRequest,
    principal: Principal,
    *,
    now: datetime,
    stages: Iterable[UUID],
    deal_ids: Sequence[UUID],
    text: str,
    undo: str = "",
    status: int = 200,
) -> HttpResponse:
    """Return heads and cards as the page includes them; a deal that left the board comes without a card."""
    board_query = QueryDict(request.headers.get("X-Board", ""))
    heads = board.heads(
        list(Stage.objects.filter(id__in=set(stages), is_active=True)),
        _wanted(board_query, principal, now),
        now=now,
    )
    cards = {card.id: card for card in board.cards_of(deal_ids, me=principal.user.id, now=now)}
    shared = _shared(principal, now)
    body: dict[str, Any] = {
        "text": text,
        "heads": {
            str(head.stage.id): render_to_string("pipeline/_board_head.html", {"column": head, **shared})
            for head in heads
        },
        "cards": [_card_json(deal_id, cards.get(deal_id), shared) for deal_id in deal_ids],
    }
    if undo:
        body["undo"] = undo
    return JsonResponse(body, status=status)


def _shared(principal: Principal, now: datetime) -> dict[str, Any]:
    """Return what heads and cards say alike, wherever they are rendered."""
    return {
        "may_move": True,
        "may_add": principal.may("create_lead"),
        "leads": reverse("lead-list"),
        "today": timezone.localdate(now),
        "now": now,
    }


def _card_json(deal_id: UUID, card: board.Card | None, shared: dict[str, Any]) -> dict[str, str]:
    if card is None:
        return {"id": str(deal_id), "stage": "", "html": ""}
    html = render_to_string("pipeline/_deal_card.html", {"card": card, **shared}).strip()
    return {"id": str(deal_id), "stage": str(card.stage_id), "html": html}


@dataclass(frozen=True, slots=True)
class _Closing:
    """What closing needs: the amount and the day of a sale (None is now), or why it was lost."""

    amount: Decimal | None = None
    closed_at: datetime | None = None
    lost_reason: str = ""


def _closing(stage: Stage, posted: QueryDict, now: datetime) -> _Closing | None:
    """Read what a closing stage asks for; None for the others. Raises Invalid with the fields at fault."""
    if stage.lead_state == LeadState.PERSO:
        reason = posted.get("lost_reason", "").strip()
        if not reason:
            raise Invalid(
                _("Manca il motivo."),
                details={"lost_reason": [_("Scegli un motivo o scrivilo: serve a capire.")]},
            )
        return _Closing(lost_reason=reason[:500])
    if stage.lead_state != LeadState.CHIUSO_VINTO:
        return None
    details: dict[str, list[str]] = {}
    amount = _amount(posted.get("amount", ""))
    if amount is None:
        details["amount"] = [_("Scrivi quanto vale, per esempio 1.140,00.")]
    day = _day(posted.get("closed_on", ""))
    today = timezone.localdate(now)
    if day is None or day > today:
        details["closed_on"] = [_("Serve un giorno, e non nel futuro.")]
    if details or day is None:
        raise Invalid(_("Mancano l’importo o la data."), details=details)
    # A sale of another day counts at noon of it; today's counts now.
    closed_at = None if day == today else datetime.combine(day, time(12), timezone.get_current_timezone())
    return _Closing(amount=amount, closed_at=closed_at)


def _move_one(
    deal_id: UUID, version: int, stage: Stage, closing: _Closing | None, actor: User, now: datetime
) -> Deal:
    closing_fields: dict[str, Any] = {}
    if closing is not None:
        closing_fields = {"lost_reason": closing.lost_reason, "amount": closing.amount}
        if closing.closed_at is not None:
            closing_fields["closed_at"] = closing.closed_at
    return commands.move_deal(
        deal_id=deal_id, stage_id=stage.id, version=version, user_id=actor.id, now=now, **closing_fields
    )


def _undo_one(deal_id: UUID, version: int, stage_id: UUID, actor: User, now: datetime) -> UUID:
    """Return the deal to a stage; gives back the stage it leaves."""
    deal = Deal.objects.filter(pk=deal_id).first()
    if deal is None:
        raise Missing(_("Questa trattativa non c’è."))
    left = deal.current_stage_id or stage_id
    if deal.status != Deal.Status.OPEN:
        commands.reopen_deal(deal_id=deal_id, stage_id=stage_id, version=version, user_id=actor.id, now=now)
    else:
        commands.move_deal(deal_id=deal_id, stage_id=stage_id, version=version, user_id=actor.id, now=now)
    return left


def _say_moved(moved: Sequence[Deal], stage: Stage, refused: Sequence[tuple[UUID, Refused]]) -> str:
    """Return what happened in a sentence; when some cards stayed, why comes first."""
    if refused and not moved:
        return str(refused[0][1])
    if stage.lead_state == LeadState.CHIUSO_VINTO:
        done = ngettext("Una trattativa vinta.", "%(n)s trattative vinte.", len(moved)) % {"n": len(moved)}
    elif stage.lead_state == LeadState.PERSO:
        done = ngettext("Una trattativa persa.", "%(n)s trattative perse.", len(moved)) % {"n": len(moved)}
    else:
        done = ngettext("Spostata in %(stage)s.", "%(n)s spostate in %(stage)s.", len(moved)) % {
            "n": len(moved),
            "stage": stage.name,
        }
    return f"{done} {refused[0][1]}" if refused else done


def _undo_address(moved: Sequence[Deal], before: dict[UUID, UUID]) -> str:
    deals = [f"{deal.id}:{deal.version}:{before[deal.id]}" for deal in moved if deal.id in before]
    return f"{reverse('board-undo')}?{urlencode([('deal', deal) for deal in deals])}" if deals else ""


def _deals(texts: Sequence[str]) -> list[tuple[UUID, int]]:
    """Read `id:version` pairs. Raises Missing for what is no such pair: the page never sends it."""
    pairs = []
    for text in texts[:_MOST_AT_ONCE]:
        deal_id, _colon, version = text.partition(":")
        pairs.append((_uuid(deal_id), _whole(version)))
    return pairs


def _undo_parts(text: str) -> tuple[UUID, int, UUID]:
    deal_id, version, stage_id = ([*text.split(":"), "", ""])[:3]
    return _uuid(deal_id), _whole(version), _uuid(stage_id)


def _stage(stage_id: UUID) -> Stage:
    stage = Stage.objects.filter(pk=stage_id, is_active=True).first()
    if stage is None:
        raise Missing(_("Questa colonna non c’è più."))
    return stage


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Missing(_("Questa trattativa non c’è.")) from error


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _amount(text: str) -> Decimal | None:
    """Read an amount as Italians type it (`1.140,00`, `1140`, `1 140 €`); None when it is none."""
    bare = text.replace("€", "").replace("\N{NO-BREAK SPACE}", "").replace(" ", "")
    if "," in bare:
        bare = bare.replace(".", "").replace(",", ".")
    elif bare.count(".") > 1 or len(bare.partition(".")[2]) == 3:
        bare = bare.replace(".", "")
    try:
        amount = Decimal(bare)
    except InvalidOperation:
        return None
    return amount.quantize(Decimal("0.01")) if amount.is_finite() and 0 <= amount < 100_000_000 else None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _wanted(query: QueryDict, principal: Principal, now: datetime) -> board.Wanted:
    """Read the filters of the address; what cannot be read filters nothing."""
    owner, source = query.get("owner", ""), query.get("source", "")
    return board.Wanted(
        owner=principal.user.id if owner == "me" else _uuid_or_none(owner),
        nobody=owner == "nobody",
        marketing_source=_uuid_or_none(source),
        opened_from=_opened_from(query.get("opened", ""), now),
    )


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _opened_from(code: str, now: datetime) -> datetime | None:
    """Return where a period begins, at midnight of the brand's zone."""
    if code not in _PERIODS:
        return None
    today = timezone.localdate(now)
    first = {
        "today": today,
        "week": today - timedelta(days=today.weekday()),
        "month": today.replace(day=1),
        "quarter": today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1),
    }[code]
    return datetime.combine(first, time(), timezone.get_current_timezone())


def _period_labels() -> dict[str, str]:
    return {
        "today": _("oggi"),
        "week": _("questa settimana"),
        "month": _("questo mese"),
        "quarter": _("questo trimestre"),
    }


def _owners(principal: Principal) -> list[Choice]:
    colleagues = UserRole.objects.exclude(user=principal.user).values("user")
    people = User.objects.filter(id__in=colleagues, is_active=True).order_by("name")
    return [
        Choice("me", _("io")),
        *(Choice(str(user_id), name) for user_id, name in people.values_list("id", "name")),
        Choice("nobody", _("nessuno")),
    ]


def _marketing_sources() -> list[Choice]:
    sources = MarketingSource.objects.order_by("name").values_list("id", "name")
    return [Choice(str(source_id), name) for source_id, name in sources]


def _filters(query: QueryDict, owners: Sequence[Choice], marketing_sources: Sequence[Choice]) -> list[Filter]:
    """Return the filters in force, in words."""
    found = []
    words = {
        "owner": (_("Titolare"), {choice.value: choice.label for choice in owners}),
        "source": (_("Provenienza"), {choice.value: choice.label for choice in marketing_sources}),
        "opened": (_("Arrivato"), _period_labels()),
    }
    for name, (label, values) in words.items():
        if value := values.get(query.get(name, "")):
            rest = query.copy()
            del rest[name]
            address = f"{reverse('board')}?{rest.urlencode()}".rstrip("?")
            found.append(Filter(label, value, address))
    return found


def _query(query: QueryDict) -> str:
    """Return the filters of the address alone, without what belongs to a column."""
    return urlencode([(name, query[name]) for name in ("owner", "source", "opened") if query.get(name)])


def _with_more(column: board.Column, query: str) -> board.Column:
    """Return a column with the address of the cards that follow its last one."""
    place = urlencode({"after": board.cursor_of(column.cards[-1]), "shown": column.shown})
    address = f"{reverse('board-column', args=[column.stage.id])}?{place}"
    return replace(column, more_url=f"{address}&{query}" if query else address)


def _lost_reasons() -> list[str]:
    return [
        _("Costa troppo"),
        _("Ha scelto altri"),
        _("Non è il momento"),
        _("Non risponde"),
        _("Non gli serve"),
        _("Numero o dati sbagliati"),
    ]


urlpatterns = [
    path("board", show, name="board"),
    path("board/columns/<uuid:stage_id>", column, name="board-column"),
    path("board/move", move, name="board-move"),
    path("board/undo", undo, name="board-undo"),
]
