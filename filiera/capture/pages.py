"""Sources (where leads come in) and the inbound log (what came), as pages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from filiera.capture import commands, forms, inbound, queries, snippets, trial
from filiera.capture.models import Source, Submission
from filiera.identity.models import User
from filiera.identity.permissions import demand
from filiera.platform.models import Event
from filiera.platform.refusals import Missing, Refused

COUNTED_FOR = timedelta(days=30)
TRIED_AT_ONCE = 50
_MOST_AT_ONCE = 200
_MOST_ROWS = 60


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a select."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter in force: its field and value in words, and the address of the page without it."""

    field: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class Part:
    """A tab of a source, or a view of the log."""

    code: str
    label: str
    href: str
    count: str = ""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source in the list."""

    source: Source
    kind: str
    requests: int
    troubled: int


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was changed about a source. `who` is "" when nobody in particular did it."""

    icon: str
    text: str
    who: str
    at: datetime


# ── sources ──


@require_GET
def sources(request: HttpRequest) -> HttpResponse:
    """List the sources with how much came in through each."""
    demand(request, "manage_intake")
    now = timezone.now()
    counts, are_floors = inbound.counts_by_source(now - COUNTED_FOR)
    rows = [
        SourceRow(source, forms.name_of(source.kind), *counts.get(source.id, (0, 0)))
        for source in Source.objects.select_related("marketing_source").order_by("-is_active", "name")
    ]
    return render(
        request,
        "capture/sources.html",
        {"page": "sources", "page_title": _("Fonti"), "rows": rows, "are_floors": are_floors, "now": now},
    )


@never_cache
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make a source. Its key is in the answer to this very request and nowhere else."""
    principal = demand(request, "manage_intake")
    form = forms.NewSource(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            source, key = commands.create_source(
                **form.fields_of_source(), actor=principal.user, now=timezone.now()
            )
        except Refused as refusal:
            forms.tell(form, refusal)
        else:
            if not _has_key(source):
                return redirect("source-address", source.pk)
            return _source_page(request, source, "address", {"new_key": key})
    context = {"page": "sources", "page_title": _("Collega una fonte"), "form": form, "kinds": forms.kinds()}
    return render(request, "capture/source_new.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def source(request: HttpRequest, source_id: UUID) -> HttpResponse:
    """Show what a source makes of a request, and change it: propose, add a row, try on many, save."""
    principal = demand(request, "manage_intake")
    one = _source(source_id)
    stored = _stored(one, request.POST.get("request") or request.GET.get("request", ""))
    pairs = _pairs(request.POST) if request.method == "POST" else _pairs_of(one)
    extra: dict[str, Any] = {}
    if request.method == "POST":
        if "propose" in request.POST:
            pairs = (trial.propose(one, stored) if stored else []) or pairs
            extra["is_draft"] = True
        elif "more" in request.POST:
            field = request.POST.get("add", "")
            pairs = [*pairs, (field, "")] if field in trial.FIELDS or field.startswith("custom.") else pairs
            extra["is_draft"] = True
        elif "many" in request.POST:
            extra |= {"many": _try_many(one, pairs), "is_draft": True}
        else:
            mapping = {path: field for field, path in pairs if path}
            try:
                commands.change_source(
                    source_id=one.pk, mapping=mapping, actor=principal.user, now=timezone.now()
                )
            except Refused as refusal:
                messages.warning(request, str(refusal))
            else:
                messages.success(request, _("Mappatura salvata. Vale dalla prossima richiesta."))
                place = f"?{urlencode({'request': stored.pk})}" if stored else ""
                return redirect(reverse("source", args=[one.pk]) + place)
    return _source_page(request, one, "mapping", extra, pairs=pairs, stored=stored)


@require_POST
def try_mapping(request: HttpRequest, source_id: UUID) -> HttpResponse:
    """Answer what the rows as typed would make of the stored request. Nothing is written."""
    demand(request, "manage_intake")
    one = _source(source_id)
    stored = _stored(one, request.POST.get("request", ""))
    context = _mapping_context(one, stored, _pairs(request.POST))
    return render(request, "capture/_try_answer.html", {**context, "now": timezone.now()})


@require_GET
def address(request: HttpRequest, source_id: UUID) -> HttpResponse:
    """Show where to send and what to paste."""
    demand(request, "manage_intake")
    return _source_page(request, _source(source_id), "address", {})


@require_http_methods(["GET", "POST"])
def limits(request: HttpRequest, source_id: UUID) -> HttpResponse:
    """Change what a source asks for, how much it lets in, and from where."""
    principal = demand(request, "manage_intake")
    one = _source(source_id)
    form = forms.ChangeSource(request.POST or None, source=one)
    if request.method == "POST" and form.is_valid():
        try:
            commands.change_source(
                source_id=one.pk, **form.fields_of_source(), actor=principal.user, now=timezone.now()
            )
        except Refused as refusal:
            forms.tell(form, refusal)
        else:
            messages.success(request, _("Salvato. Vale da subito, ovunque."))
            return redirect("source-limits", one.pk)
    return _source_page(request, one, "limits", {"form": form}, status=400 if form.errors else 200)


@require_GET
def history(request: HttpRequest, source_id: UUID) -> HttpResponse:
    """Show what was changed about a source, and by whom."""
    demand(request, "manage_intake")
    one = _source(source_id)
    return _source_page(request, one, "history", {"history": _history(one)})


@never_cache
@require_POST
def rotate(request: HttpRequest, source_id: UUID) -> HttpResponse:
    """Give a source a new key, shown in this answer only; the old one stops at once."""
    principal = demand(request, "manage_intake")
    old = _source(source_id)
    one, key = commands.rotate_key(source_id=old.pk, actor=principal.user, now=timezone.now())
    return _source_page(request, one, "address", {"new_key": key, "old_last4": old.api_key_last4})


@require_POST
def switch(request: HttpRequest, source_id: UUID) -> HttpResponse:
    """Let a source in, or not: a suspended one answers as if it did not exist."""
    principal = demand(request, "manage_intake")
    one = _source(source_id)
    on = request.POST.get("on") == "on"
    commands.change_source(source_id=one.pk, is_active=on, actor=principal.user, now=timezone.now())
    if on:
        messages.success(request, _("%(name)s riceve di nuovo.") % {"name": one.name})
    else:
        messages.success(
            request,
            _("%(name)s è sospesa: chi invia riceve 404.") % {"name": one.name},
            extra_tags=f"undo:{reverse('source-on', args=[one.pk])}",
        )
    return redirect("source", one.pk)


@require_POST
def switch_on(request: HttpRequest, source_id: UUID) -> HttpResponse:
    """Take a suspension back."""
    principal = demand(request, "manage_intake")
    commands.change_source(
        source_id=_source(source_id).pk, is_active=True, actor=principal.user, now=timezone.now()
    )
    return redirect("source", source_id)


def _source_page(
    request: HttpRequest,
    one: Source,
    tab: str,
    extra: dict[str, Any],
    *,
    pairs: Sequence[tuple[str, str]] = (),
    stored: Submission | None = None,
    status: int = 200,
) -> HttpResponse:
    now = timezone.now()
    counts, are_floors = inbound.counts_by_source(now - COUNTED_FOR)
    requests = counts.get(one.id, (0, 0))[0]
    context = {
        "page": "sources",
        "page_title": one.name,
        "source": one,
        "kind": forms.name_of(one.kind),
        "requests": requests,
        "are_floors": are_floors and requests,
        "has_key": _has_key(one),
        "tab": tab,
        "parts": _parts(one, requests),
        "now": now,
        **extra,
    }
    if tab == "mapping":
        context |= _mapping_context(one, stored, pairs)
        context["snippets"] = snippets.of(one)
    if tab == "address":
        context |= {
            "address": snippets.address(one, extra.get("new_key", "")),
            "address_hint": snippets.hint(one),
            "snippets": snippets.of(one),
        }
    return render(request, "capture/source.html", context, status=status)


def _mapping_context(
    one: Source, stored: Submission | None, pairs: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    result = trial.try_mapping(one, stored, pairs)
    document = trial.document_of(stored) if stored else None
    newer, older = inbound.neighbours(stored) if stored else (None, None)
    wrong = [row.path for row in result.rows if row.problem]
    named = {field for field, _path in pairs}
    return {
        "source": one,
        "stored": stored,
        "trial": result,
        "unused_more": max(len(result.unused) - 8, 0),
        "body": _body(stored, document, used=result.used, marked=wrong) if stored else "",
        "paths": [path for path, _value in trial.leaves(document)][:200] if document else [],
        "newer": newer,
        "older": older,
        "more_fields": [
            {"code": code, "label": label} for code, label in trial.FIELDS.items() if code not in named
        ],
    }


def _body(
    stored: Submission,
    document: Any,
    *,
    used: Sequence[str] | frozenset[str] = (),
    marked: Sequence[str] = (),
) -> Any:
    """Return a request's body as text: as a tree when it can be read, else its first characters."""
    if document is not None:
        return trial.outline(document, used=used, marked=marked)
    return bytes(stored.body)[:4000].decode("utf-8", "replace")


def _try_many(one: Source, pairs: Sequence[tuple[str, str]]) -> str:
    """Return in words how many of the latest requests would become leads."""
    tried = [
        trial.try_mapping(one, submission, pairs) for submission in inbound.latest_of(one, TRIED_AT_ONCE)
    ]
    passed = sum(1 for result in tried if result.level != "bad")
    remarks = sum(1 for result in tried if result.level == "warn")
    text = ngettext("%(passed)s su %(n)s passa.", "%(passed)s su %(n)s passano.", passed) % {
        "passed": passed,
        "n": len(tried),
    }
    if not remarks:
        return text
    return f"{text} " + ngettext("%(n)s con un avviso.", "%(n)s con un avviso.", remarks) % {"n": remarks}


def _pairs(posted: QueryDict) -> list[tuple[str, str]]:
    """Read the rows of the form as (field, path)."""
    rows = zip(posted.getlist("field"), posted.getlist("path"), strict=False)
    known = [
        (field, path.strip()) for field, path in rows if field in trial.FIELDS or field.startswith("custom.")
    ]
    return known[:_MOST_ROWS]


def _pairs_of(one: Source) -> list[tuple[str, str]]:
    """Return the rows of a source's mapping, in the order of the page, then those it usually starts with."""
    mapped = sorted(
        ((field, path) for path, field in one.mapping.items()),
        key=lambda pair: list(trial.FIELDS).index(pair[0]) if pair[0] in trial.FIELDS else 99,
    )
    named = {field for field, _path in mapped}
    if {"first_name", "last_name"} & named:
        named.add("full_name")
    return [*mapped, *((field, "") for field in trial.SHOWN_FIRST if field not in named)]


def _parts(one: Source, requests: int) -> list[Part]:
    log = f"{reverse('inbound')}?{urlencode({'view': 'all', 'source': one.pk})}"
    return [
        Part("mapping", _("Mappatura"), reverse("source", args=[one.pk])),
        Part("address", _("Indirizzo e snippet"), reverse("source-address", args=[one.pk])),
        Part("limits", _("Limiti e origini"), reverse("source-limits", args=[one.pk])),
        Part("inbound", _("Ingressi"), log, str(requests or "")),
        Part("history", _("Storia"), reverse("source-history", args=[one.pk])),
    ]


def _history(one: Source) -> list[Entry]:
    """Return the events about a source, the latest first."""
    events = list(Event.objects.filter(subject_id=one.pk).order_by("-at", "-id")[:100])
    wanted = {str(event.data.get("user_id")) for event in events if event.data.get("user_id")}
    names = {str(user.id): user.name for user in User.objects.filter(id__in=wanted)}
    return [
        Entry(icon, text, names.get(str(event.data.get("user_id")), ""), event.at)
        for event in events
        for icon, text in [_deed(event)]
        if text
    ]


def _deed(event: Event) -> tuple[str, str]:
    if event.kind == "source.changed":
        words = _field_words()
        what = ", ".join(words.get(name, name) for name in event.data.get("fields", []))
        return "pencil", _("ha cambiato: %(what)s") % {"what": what}
    return {
        "source.created": ("plug-connected", _("ha collegato la fonte")),
        "source.key_rotated": ("key", _("ha cambiato la chiave")),
    }.get(event.kind, ("", ""))


def _field_words() -> dict[str, str]:
    return {
        "auth_mode": _("la prova di chi invia"),
        "rate_limit_per_min": _("il limite al minuto"),
        "mapping": _("la mappatura"),
        "required_fields": _("i campi richiesti"),
        "allowed_origins": _("i siti permessi"),
        "marketing_source_id": _("la provenienza"),
        "auto_call": _("la chiamata automatica"),
        "is_active": _("attiva o sospesa"),
        "signing_secret": _("il segreto della firma"),
        "access_token": _("il gettone di accesso"),
        "form": _("il modulo"),
        "label": _("il nome che si legge"),
    }


def _has_key(one: Source) -> bool:
    """Say whether a sender types this source's key somewhere: for Meta it is the verify token of the handshake."""
    if one.auth_mode == Source.AuthMode.SIGNATURE:
        return one.kind == "meta"
    return one.auth_mode != Source.AuthMode.PUBLIC


def _source(source_id: UUID) -> Source:
    found = Source.objects.select_related("marketing_source").filter(pk=source_id).first()
    if found is None:
        raise Missing(_("Questa fonte non c’è."))
    return found


def _stored(one: Source, wanted: str) -> Submission | None:
    """Return the stored request to try on: the one asked for, else the latest of the source."""
    submission_id = _uuid_or_none(wanted)
    if submission_id:
        return Submission.objects.filter(source=one, pk=submission_id).first()
    return next(iter(inbound.latest_of(one)), None)


# ── the inbound log ──


@require_GET
def log(request: HttpRequest) -> HttpResponse:
    """Show what came in, what became of it, and one request in full."""
    principal = demand(request, "manage_intake")
    now = timezone.now()
    query = request.GET
    wanted = _wanted(query, now)
    rows, older = inbound.page(wanted, before=query.get("before", ""))
    one = _one(query.get("id", ""))
    context = {
        "page": "inbound",
        "page_title": _("Ingressi"),
        "now": now,
        "may_manage": principal.may("manage_intake"),
        "queue": queries.queue_figures(now=now),
        "views": _views(query, wanted, now),
        "wanted": {
            "view": wanted.view,
            **{name: query.get(name, "") for name in ("since", "source", "reason")},
        },
        "filters": _filters(query),
        "since_choices": [Choice(code, label) for code, label in _since_labels().items()],
        "sources": _source_choices(),
        "reason_choices": [
            Choice(code, inbound.reasons().get(code, code)) for code in inbound.codes_in_use()
        ],
        "rows": [_row(row, query, now) for row in rows],
        "foot": ngettext(
            "%(n)s richiesta, salvata per intero.", "%(n)s richieste, tutte salvate per intero.", len(rows)
        )
        % {"n": len(rows)},
        "older_href": f"?{_with(query, before=older, id='')}" if older else "",
        "cause": inbound.common_cause(rows) if wanted.view == "dead" else None,
        "requeue_all_label": _requeue_all_label(wanted.view, rows, older),
        "one": _detail(one) if one else None,
        "close_href": f"?{_with(query, id='')}",
    }
    return render(request, "capture/inbound.html", context)


@require_GET
def dead_letters(request: HttpRequest) -> HttpResponse:
    """Lead to the view of the log that waits for a person."""
    demand(request, "manage_intake")
    return redirect(f"{reverse('inbound')}?view=dead")


@require_POST
def requeue(request: HttpRequest) -> HttpResponse:
    """Offer requests again: one, the chosen ones, or all that were set aside."""
    principal = demand(request, "manage_intake")
    now = timezone.now()
    again, refused = 0, ""
    if request.POST.get("all") == "rejected":
        again = commands.replay_all(actor=principal.user, now=now)
        refused = "" if again else _("Nessuna si lascia ancora leggere: prima correggi la mappatura.")
    elif request.POST.get("all"):
        again = commands.requeue_all(actor=principal.user, now=now)
    else:
        texts = (
            [request.POST["one"]] if request.POST.get("one") else request.POST.getlist("id")[:_MOST_AT_ONCE]
        )
        refused = "" if texts else _("Scegli almeno una richiesta.")
        for submission_id in filter(None, map(_uuid_or_none, texts)):
            try:
                _again(submission_id, principal.user, now)
                again += 1
            except Missing:
                raise
            except Refused as refusal:
                refused = str(refusal)
    done = (
        ngettext("%(n)s richiesta riproposta.", "%(n)s richieste riproposte.", again) % {"n": again}
        if again
        else ""
    )
    messages.add_message(
        request, messages.SUCCESS if again else messages.WARNING, " ".join(filter(None, (done, refused)))
    )
    return _back(request)


def _again(submission_id: UUID, actor: User, now: datetime) -> None:
    """Requeue what was set aside; of anything else make a new request from the stored one."""
    submission = _submission(submission_id)
    if submission.status == Submission.Status.DEAD:
        commands.requeue(submission_id=submission.pk, actor=actor, now=now)
    else:
        commands.replay(submission_id=submission.pk, actor=actor, now=now)


@require_POST
def discard(request: HttpRequest, submission_id: UUID) -> HttpResponse:
    """Set a request aside for good; its text stays, and the deed can be taken back."""
    principal = demand(request, "manage_intake")
    commands.discard(submission_id=_submission(submission_id).pk, actor=principal.user, now=timezone.now())
    messages.success(
        request,
        _("Richiesta scartata."),
        extra_tags=f"undo:{reverse('inbound-undo-discard', args=[submission_id])}",
    )
    return _back(request)


@require_POST
def undo_discard(request: HttpRequest, submission_id: UUID) -> HttpResponse:
    """Take a discard back."""
    principal = demand(request, "manage_intake")
    commands.undo_discard(
        submission_id=_submission(submission_id).pk, actor=principal.user, now=timezone.now()
    )
    return redirect(f"{reverse('inbound')}?view=dead")


def _requeue_all_label(view: str, rows: Sequence[Submission], older: str) -> str:
    """Return the words of the button that offers everything in a view again, "" where there is none."""
    if view == "rejected":
        return _("Riproponi quelle che ora si leggono")
    if view != "dead":
        return ""
    count = f"{len(rows)}+" if older else str(len(rows))
    return ngettext("Riproponi l’unica", "Riproponi tutte e %(n)s", len(rows)) % {"n": count}


def _detail(submission: Submission) -> dict[str, Any]:
    document = trial.document_of(submission)
    guesses = inbound.guesses(submission)
    used = frozenset(submission.source.mapping)
    fix = ""
    if inbound.may_fix_mapping(submission):
        fix = f"{reverse('source', args=[submission.source_id])}?{urlencode({'request': submission.pk})}"
    status = Submission.Status(submission.status)
    return {
        "submission": submission,
        "path": submission.path,
        "body": _body(submission, document, used=used, marked=guesses),
        "headers": sorted(submission.headers.items()),
        "response": inbound.pretty(submission.response) if submission.response else "",
        "trouble": inbound.trouble_of(submission),
        "guesses": guesses,
        "fix_href": fix,
        "steps": inbound.steps_of(submission),
        "links": inbound.links(submission.pk),
        "may_replay": status != Submission.Status.QUEUED,
        "may_discard": status in {Submission.Status.DEAD, Submission.Status.REJECTED},
    }


def _row(submission: Submission, query: QueryDict, now: datetime) -> dict[str, Any]:
    return {
        "submission": submission,
        "source": submission.source.name,
        "what": inbound.what_became(submission, now),
        "tries": inbound.tries_of(submission),
        "href": f"?{_with(query, id=str(submission.pk))}",
        "is_today": timezone.localdate(submission.received_at) == timezone.localdate(now),
        "may_replay": submission.status in {Submission.Status.DEAD, Submission.Status.REJECTED},
    }


def _one(wanted: str) -> Submission | None:
    submission_id = _uuid_or_none(wanted)
    return _submission(submission_id) if submission_id else None


def _submission(submission_id: UUID) -> Submission:
    found = Submission.objects.select_related("source").filter(pk=submission_id).first()
    if found is None:
        raise Missing(_("Questa richiesta non c’è."))
    return found


def _wanted(query: QueryDict, now: datetime) -> inbound.Wanted:
    view = query.get("view", "all")
    return inbound.Wanted(
        view=view if view in inbound.STATUSES else "all",
        since=_since(query.get("since", ""), now),
        source=_uuid_or_none(query.get("source", "")),
        reason=query.get("reason", "").replace("\x00", ""),
    )


def _since(code: str, now: datetime) -> datetime | None:
    days = {"today": 0, "week": 6, "month": 29}.get(code)
    if days is None:
        return None
    first = timezone.localdate(now) - timedelta(days=days)
    return datetime.combine(first, time(), timezone.get_current_timezone())


def _since_labels() -> dict[str, str]:
    return {"today": _("oggi"), "week": _("da 7 giorni"), "month": _("da 30 giorni")}


def _views(query: QueryDict, wanted: inbound.Wanted, now: datetime) -> list[Part]:
    today = _since("today", now)
    every = inbound.count(inbound.Wanted(since=today))
    labels = {"dead": _("Da recuperare"), "rejected": _("Rifiutati"), "duplicate": _("Ripetuti")}
    return [
        Part(
            "all",
            _("Tutti"),
            f"?{_with(query, view='all', id='', before='')}",
            _("%(n)s oggi") % {"n": every},
        ),
        *(
            Part(
                code,
                label,
                f"?{_with(query, view=code, id='', before='')}",
                inbound.count(replace(wanted, view=code)),
            )
            for code, label in labels.items()
        ),
    ]


def _filters(query: QueryDict) -> list[Filter]:
    words = {
        "since": (_("Arrivate"), _since_labels()),
        "source": (_("Fonte"), {choice.value: choice.label for choice in _source_choices()}),
        "reason": (_("Motivo"), inbound.reasons()),
    }
    return [
        Filter(label, values[query.get(name, "")], f"?{_with(query, **{name: ''}, before='')}")
        for name, (label, values) in words.items()
        if query.get(name) in values
    ]


def _source_choices() -> list[Choice]:
    return [Choice(str(one.id), one.name) for one in Source.objects.order_by("name")]


def _with(query: QueryDict, **changes: str) -> str:
    """Return the query of this page with some values changed; "" takes one away."""
    kept = {
        name: query[name] for name in ("view", "since", "source", "reason", "before", "id") if query.get(name)
    }
    return urlencode({name: value for name, value in (kept | changes).items() if value})


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _back(request: HttpRequest) -> HttpResponse:
    target = request.POST.get("back", "")
    ours = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    if target.startswith("?"):
        return redirect(f"{reverse('inbound')}{target}")
    return redirect(target if ours and target else f"{reverse('inbound')}?view=dead")


urlpatterns = [
    path("sources", sources, name="sources"),
    path("sources/new", new, name="source-new"),
    path("sources/<uuid:source_id>", source, name="source"),
    path("sources/<uuid:source_id>/try", try_mapping, name="source-try"),
    path("sources/<uuid:source_id>/address", address, name="source-address"),
    path("sources/<uuid:source_id>/limits", limits, name="source-limits"),
    path("sources/<uuid:source_id>/history", history, name="source-history"),
    path("sources/<uuid:source_id>/rotate", rotate, name="source-rotate"),
    path("sources/<uuid:source_id>/switch", switch, name="source-switch"),
    path("sources/<uuid:source_id>/on", switch_on, name="source-on"),
    path("inbound", log, name="inbound"),
    path("inbound/dead", dead_letters, name="dead_letters"),
    path("inbound/requeue", requeue, name="inbound-requeue"),
    path("inbound/<uuid:submission_id>/discard", discard, name="inbound-discard"),
    path("inbound/<uuid:submission_id>/undo-discard", undo_discard, name="inbound-undo-discard"),
]
