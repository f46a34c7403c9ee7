"""The verbs of the intake: sources and their keys, requests offered again or set aside. All in the open brand scope."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from filiera.capture import intake, rules
from filiera.capture.adapters import ADAPTERS, LeadFields
from filiera.capture.adapters.reading import is_target, text
from filiera.capture.intake import KnownSource, Request
from filiera.capture.models import MarketingSource, RateLimitBucket, Source, Submission
from filiera.capture.source_cache import signing_context
from filiera.identity import vault
from filiera.identity.models import Brand, User, VaultKey
from filiera.platform import brand_scope, events, live
from filiera.platform.ids import new_id
from filiera.platform.jobs import app
from filiera.platform.refusals import Invalid, Missing, Refused

MOST_PER_MINUTE = 1_000_000
MOST_MAPPED = 200
OWN_KINDS = ("manual", "import")
ARRIVED = "filiera_lead"

_ORIGIN = re.compile(
    r"(?P<scheme>https?://)?(?P<host>(?:[\w-]+\.)*[\w-]+(?::\d{1,5})?)(?:/.*)?$", re.IGNORECASE
)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,99}")


class NameTaken(Refused):
    """A source of this name exists, here or elsewhere: whose it is, is not said (CAP-66)."""

    code = "CONFLICT"
    status = 409


class SourceInUse(Refused):
    """Requests came in through the source: it can be suspended, not forgotten."""

    code = "CONFLICT"
    status = 409


class StillUnreadable(Refused):
    """The stored request still tells no lead; nothing was made of it."""

    code = "VALIDATION_ERROR"
    status = 400


class NotNow(Refused):
    """The request is not in a state in which this can be done."""

    code = "INVALID_TRANSITION"
    status = 422


# Sources


@transaction.atomic
def create_source(
    *,
    name: str,
    kind: str,
    actor: User | None,
    now: datetime,
    label: str = "",
    auth_mode: str | None = None,
    rate_limit_per_min: int = 60,
    mapping: Mapping[str, str] | None = None,
    required_fields: Sequence[str] | None = None,
    allowed_origins: Sequence[str] | None = None,
    marketing_source_id: UUID | None = None,
    auto_call: bool = False,
    form: Mapping[str, Any] | None = None,
    signing_secret: str = "",
    access_token: str = "",
) -> tuple[Source, str]:
    """Make a source and return it with its clear key, which is shown once and kept as a hash only.

    The key is "" for a public source. For Meta it is the verify token of the handshake; `signing_secret` is what the
    sender signs with, `access_token` what we ask the Graph API with. Raises Invalid, NameTaken.
    """
    source = Source(name=name.strip().lower(), kind=kind, label=text(label, 100), auto_call=auto_call)
    source.auth_mode = auth_mode or _proofs(kind)[0]
    source.rate_limit_per_min = rate_limit_per_min
    source.mapping = dict(mapping or {})
    source.required_fields = _canonical_names(required_fields or ())
    source.allowed_origins = _origins(allowed_origins or ())
    source.marketing_source_id = marketing_source_id
    source.form = dict(form or {})
    if signing_secret:
        source.signing_secret = vault.seal(signing_secret, context=signing_context(source.id))
    key = "" if source.auth_mode == Source.AuthMode.PUBLIC else _give_key(source)
    _refuse_what_is_wrong(source)
    try:
        with transaction.atomic():
            source.save(force_insert=True)
    except IntegrityError as taken:
        raise NameTaken(
            _("Il nome «%(name)s» è già preso: scegline un altro.") % {"name": source.name},
            details={"name": [_("Già preso")]},
        ) from taken
    if access_token:
        _keep_access_token(source, access_token)
    _note("source.created", source.id, actor, now)
    return source, key


@transaction.atomic
def change_source(
    *,
    source_id: UUID,
    actor: User | None,
    now: datetime,
    signing_secret: str = "",
    access_token: str = "",
    **changes: Any,
) -> Source:
    """Change a source; fields not named stay. Another limit takes effect on its bucket at once (CAP-71).

    `changes` are label, auth_mode, rate_limit_per_min, mapping, required_fields, allowed_origins,
    marketing_source_id, auto_call, is_active, form. Raises Missing, Invalid.
    """
    source = _locked_source(source_id)
    if unknown := set(changes) - _CHANGEABLE:
        raise TypeError(f"a source has no {', '.join(sorted(unknown))} to change")
    if "required_fields" in changes:
        changes["required_fields"] = _canonical_names(changes["required_fields"])
    if "allowed_origins" in changes:
        changes["allowed_origins"] = _origins(changes["allowed_origins"])
    if "label" in changes:
        changes["label"] = text(changes["label"], 100)
    if "mapping" in changes:
        changes["mapping"] = dict(changes["mapping"])
    changed = sorted(name for name, value in changes.items() if getattr(source, name) != value)
    for name in changed:
        setattr(source, name, changes[name])
    if signing_secret:
        source.signing_secret = vault.seal(signing_secret, context=signing_context(source.id))
        changed.append("signing_secret")
    if access_token:
        _keep_access_token(source, access_token)
        changed.append("access_token")
    _refuse_what_is_wrong(source)
    source.save()
    if "rate_limit_per_min" in changed:
        _resize_bucket(source)
    if changed:
        _note("source.changed", source.id, actor, now, fields=changed)
    return source


_CHANGEABLE = frozenset(
    [
        "label",
        "auth_mode",
        "rate_limit_per_min",
        "mapping",
        "required_fields",
        "allowed_origins",
        "marketing_source_id",
        "auto_call",
        "is_active",
        "form",
    ]
)


@transaction.atomic
def set_bought_list(
    *,
    source_id: UUID,
    supplier: str,
    bought_on: date | None,
    proof: str,
    is_sample_checked: bool,
    actor: User | None,
    now: datetime,
) -> Source:
    """Say that a source brings in a list that was bought, from whom and with which proof of consent (GD-07).

    Nobody in it has asked for anything, so nobody is rung by itself; without supplier, date, proof and a checked sample
    a consent that came with it counts for nothing. Raises Missing, Invalid without a supplier.
    """
    source = _locked_source(source_id)
    supplier, proof = text(supplier, 255), text(proof, 2_000)
    if not supplier:
        raise Invalid(_("Da chi è stata comprata?"), details={"fornitore": [_("Serve il fornitore.")]})
    checked = {"checked_by": actor.name if actor else "", "checked_at": now.isoformat()}
    source.bought_list = {
        "supplier": supplier,
        "bought_on": bought_on.isoformat() if bought_on else "",
        "proof": proof,
        **(checked if is_sample_checked else {}),
        "is_proven": bool(bought_on and proof and is_sample_checked),
    }
    source.save(update_fields=["bought_list", "updated_at"])
    _note("source.changed", source.id, actor, now, fields=["bought_list"])
    return source


@transaction.atomic
def rotate_key(*, source_id: UUID, actor: User | None, now: datetime) -> tuple[Source, str]:
    """Give a source a new key and return both; the old one ends within a second, everywhere."""
    source = _locked_source(source_id)
    key = _give_key(source)
    source.save(update_fields=["api_key_hash", "api_key_last4", "updated_at"])
    _note("source.key_rotated", source.id, actor, now)
    return source, key


@transaction.atomic
def delete_source(*, source_id: UUID, actor: User | None, now: datetime) -> None:
    """Remove a source that never received anything. Raises Missing, SourceInUse."""
    source = _locked_source(source_id)
    received = Submission.objects.filter(source=source).count()
    if received:
        raise SourceInUse(
            ngettext(
                "Da questa fonte è arrivata una richiesta: sospendila, e resta la sua storia.",
                "Da questa fonte sono arrivate %(n)s richieste: sospendila, e resta la loro storia.",
                received,
            )
            % {"n": received}
        )
    _note("source.deleted", source.id, actor, now, name=source.name)
    source.delete()


def access_token_of(source_id: UUID) -> str:
    """Return the token a source asks its sender's API with, "" when it has none."""
    try:
        return vault.get(_token_service(source_id))
    except vault.NoSuchKey:
        return ""


# Requests


@transaction.atomic
def replay(*, submission_id: UUID, actor: User | None, now: datetime) -> Submission:
    """Make a new request of a stored one, by the mapping as it is now, and return it (CAP-74).

    Raises Missing, and StillUnreadable when no lead can be read from it yet: then nothing is made.
    """
    old = _submission(submission_id)
    new = _replayed(old, now)
    if new is None:
        raise StillUnreadable(
            _("Da questa richiesta non si legge ancora un lead: correggi la mappatura e riprova.")
        )
    new.save(force_insert=True)
    _announce_arrival(lookup=new.needs_lookup)
    _note("submission.replayed", old.id, actor, now, new=str(new.id))
    return new


@transaction.atomic
def replay_all(*, actor: User | None, now: datetime, source_id: UUID | None = None) -> int:
    """Replay every rejected request that tells a lead now and was not replayed before; return how many."""
    rejected = Submission.objects.filter(status=Submission.Status.REJECTED).exclude(error_code="HONEYPOT")
    if source_id:
        rejected = rejected.filter(source_id=source_id)
    replayed = Submission.objects.filter(replayed_from__isnull=False).values("replayed_from")
    again, lookup = 0, False
    for old in (
        rejected.exclude(id__in=replayed).order_by("received_at", "id").select_related("source").iterator(100)
    ):
        new = _replayed(old, now)
        if new is not None:
            new.save(force_insert=True)
            again, lookup = again + 1, lookup or new.needs_lookup
    if again:
        _announce_arrival(lookup=lookup)
        events.record(
            kind="submissions.replayed",
            subject_id=source_id or brand_scope.current(),
            at=now,
            data=_by(actor, n=again),
        )
    return again


@transaction.atomic
def requeue(*, submission_id: UUID, actor: User | None, now: datetime) -> Submission:
    """Give a dead letter back to the queue with its attempts at zero. Raises Missing, NotNow."""
    submission = _submission(submission_id)
    if submission.status != Submission.Status.DEAD:
        raise NotNow(_("Questa richiesta non è tra quelle da recuperare."))
    _revive(Submission.objects.filter(id=submission.id), now)
    _note("submission.requeued", submission.id, actor, now)
    submission.refresh_from_db()
    return submission


@transaction.atomic
def requeue_all(*, actor: User | None, now: datetime) -> int:
    """Give every dead letter of the brand back to the queue; return how many."""
    again = _revive(Submission.objects.filter(status=Submission.Status.DEAD), now)
    if again:
        events.record(
            kind="submissions.requeued", subject_id=brand_scope.current(), at=now, data=_by(actor, n=again)
        )
    return again


@transaction.atomic
def discard(*, submission_id: UUID, actor: User | None, now: datetime) -> Submission:
    """Set a dead or rejected request aside for good; its text stays. Raises Missing, NotNow."""
    submission = _submission(submission_id)
    if submission.status not in (Submission.Status.DEAD, Submission.Status.REJECTED):
        raise NotNow(_("Si scarta solo quello che è stato rifiutato o è da recuperare."))
    submission.status = Submission.Status.DISCARDED
    submission.queue_state = Submission.Queue.DONE
    submission.save(update_fields=["status", "queue_state"])
    _note("submission.discarded", submission.id, actor, now)
    live.announce("inbound")
    return submission


@transaction.atomic
def undo_discard(*, submission_id: UUID, actor: User | None, now: datetime) -> Submission:
    """Take a discard back. Raises Missing, NotNow."""
    submission = _submission(submission_id)
    if submission.status != Submission.Status.DISCARDED:
        raise NotNow(_("Questa richiesta non è stata scartata."))
    was_dead = submission.dead_at is not None
    submission.status = Submission.Status.DEAD if was_dead else Submission.Status.REJECTED
    submission.queue_state = Submission.Queue.DEAD if was_dead else Submission.Queue.DONE
    submission.save(update_fields=["status", "queue_state"])
    _note("submission.discard_undone", submission.id, actor, now)
    live.announce("inbound")
    return submission


@transaction.atomic
def record_manual(*, fields: Mapping[str, Any], actor: User | None, now: datetime) -> Submission:
    """Store what a person typed as a submission and return it, leased to the caller: no worker takes it.

    The caller takes it in within the same transaction; `queue.finish` acknowledges it as any other.
    """
    source = _manual_source()
    body = orjson.dumps(dict(fields))
    submission = _new_submission(source, now, body=body, content_type="application/json")
    submission.request_id = f"manual-{submission.id}"
    submission.body_hash = rules.body_hash(body, dict(fields))
    submission.path, submission.user_agent = "/leads/new", ""
    submission.headers = {"user_id": str(actor.id)} if actor else {}
    submission.queue_state = Submission.Queue.LEASED
    submission.leased_by = f"manual:{submission.id}"
    submission.leased_until = submission.visible_at = now + timedelta(seconds=settings.QUEUE_LEASE_S)
    submission.save(force_insert=True)
    return submission


# What the verbs share


def _replayed(old: Submission, now: datetime) -> Submission | None:
    """Return a new submission with the text of an old one, None when it still tells no lead."""
    source = old.source
    request = Request(old.method, old.path, {}, bytes(old.body), old.content_type)
    verdict = intake.judge(known(source), request, intake.parsed(request))
    if verdict.status == intake.REJECTED and not old.retrieved:
        return None
    new = _new_submission(source, now, body=bytes(old.body), content_type=old.content_type)
    new.request_id = f"replay-{new.id}"
    new.body_hash, new.retrieved = old.body_hash, old.retrieved
    new.needs_lookup = verdict.needs_lookup and old.retrieved is None
    new.method, new.path, new.headers = old.method, old.path, old.headers
    new.ip_address, new.user_agent, new.replayed_from_id = old.ip_address, old.user_agent, old.id
    return new


def _new_submission(source: Source, now: datetime, *, body: bytes, content_type: str) -> Submission:
    submission_id = new_id()
    lead_id = f"LEAD_{int(now.timestamp() * 1000)}_{submission_id}"
    return Submission(
        id=submission_id,
        source=source,
        lead_id=lead_id,
        method="POST",
        body=body,
        content_type=content_type,
        response={"success": True, "leadId": lead_id},
        received_at=now,
        visible_at=now,
        max_retries=settings.QUEUE_MAX_RETRIES,
    )


def known(source: Source) -> KnownSource:
    """Return a source as the accept path sees it, without its signing secret."""
    return KnownSource(
        id=source.id,
        brand_id=source.brand_id,
        name=source.name,
        kind=source.kind,
        auth_mode=source.auth_mode,
        api_key_hash=source.api_key_hash or "",
        signing_secret=b"",
        mapping={path: target for path, target in source.mapping.items() if is_target(target)},
        required=intake.required_of(source.kind, source.required_fields),
        allowed_origins=frozenset(source.allowed_origins),
    )


def _revive(dead: Any, now: datetime) -> int:
    lookup = dead.filter(needs_lookup=True).exists()
    again: int = dead.update(
        status=Submission.Status.QUEUED,
        queue_state=Submission.Queue.READY,
        attempts=0,
        visible_at=now,
        processed_at=None,
        dead_at=None,
        dead_reason="",
    )
    if again:
        _announce_arrival(lookup=lookup)
    return again


def _announce_arrival(*, lookup: bool) -> None:
    """Wake the workers once this transaction is committed; `lookup` when something has to be fetched first."""
    if lookup:
        app.configure_task("capture.look_up").defer()
    with connection.cursor() as cursor:
        cursor.execute("select pg_notify(%s, '')", [ARRIVED])
    live.announce("inbound")


def _manual_source() -> Source:
    brand = Brand.objects.get(id=brand_scope.current())
    found = Source.objects.filter(kind="manual").order_by("created_at").first()
    if found is not None:
        return found
    source, _created = Source.objects.get_or_create(
        name=f"manuale-{brand.slug}"[:100],
        defaults={"kind": "manual", "label": _("Scritti a mano"), "auto_call": True},
    )
    return source


def _give_key(source: Source) -> str:
    key = rules.new_key()
    source.api_key_hash, source.api_key_last4 = rules.key_hash(key), rules.last4(key)
    return key


def _resize_bucket(source: Source) -> None:
    bucket = RateLimitBucket.objects.select_for_update().filter(source=source).first()
    if bucket is not None:
        bucket.tokens = min(bucket.tokens, source.rate_limit_per_min)
        bucket.max_tokens = bucket.refill_rate = source.rate_limit_per_min
        bucket.save(update_fields=["tokens", "max_tokens", "refill_rate"])


def _keep_access_token(source: Source, token: str) -> None:
    VaultKey.objects.filter(service=_token_service(source.id)).update(is_active=False)
    vault.store(service=_token_service(source.id), secret=token, label=source.name)


def _token_service(source_id: UUID) -> str:
    return f"source:{source_id}"


def _locked_source(source_id: UUID) -> Source:
    source = Source.objects.select_for_update().filter(id=source_id).first()
    if source is None:
        raise Missing(_("Questa fonte non c’è."))
    return source


def _submission(submission_id: UUID) -> Submission:
    submission = (
        Submission.objects.select_for_update(of=("self",))
        .select_related("source")
        .filter(id=submission_id)
        .first()
    )
    if submission is None:
        raise Missing(_("Questa richiesta non c’è."))
    return submission


def _refuse_what_is_wrong(source: Source) -> None:
    details: dict[str, list[str]] = {}
    if not _NAME.fullmatch(source.name):
        details["name"] = [
            _("Da 2 a 100 caratteri: lettere minuscole, cifre, punto, trattino. Finisce nell’indirizzo.")
        ]
    if source.kind not in ADAPTERS and source.kind not in OWN_KINDS:
        details["kind"] = [_("Questo tipo di fonte non c’è.")]
    elif source.auth_mode not in _proofs(source.kind):
        details["auth_mode"] = [_("Chi invia da qui non può dare questa prova.")]
    if not 1 <= source.rate_limit_per_min <= MOST_PER_MINUTE:
        details["rate_limit_per_min"] = [_("Da 1 a 1.000.000 al minuto.")]
    wrong = [
        target for target in source.mapping.values() if not isinstance(target, str) or not is_target(target)
    ]
    if wrong:
        details["mapping"] = [_("Il campo «%(field)s» non c’è.") % {"field": wrong[0]}]
    elif _has_nul([*source.mapping, *source.mapping.values()]):
        details["mapping"] = [_("Un percorso contiene caratteri che non si scrivono.")]
    elif len(source.mapping) > MOST_MAPPED:
        details["mapping"] = [_("Sono troppe righe: al massimo 200.")]
    if _has_nul(source.form):
        details["form"] = [_("Un testo contiene caratteri che non si scrivono.")]
    if (
        source.marketing_source_id
        and not MarketingSource.objects.filter(id=source.marketing_source_id).exists()
    ):
        details["marketing_source_id"] = [_("Questa provenienza non c’è.")]
    if details:
        raise Invalid(_("Alcuni campi non vanno bene."), details=details)


def _has_nul(value: Any) -> bool:
    """Tell whether NUL or a lone surrogate stands in a value: PostgreSQL can hold neither."""
    if isinstance(value, str):
        return "\0" in value or value != value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return _has_nul(list(value.items()))
    return isinstance(value, (list, tuple)) and any(map(_has_nul, value))


def _proofs(kind: str) -> tuple[str, ...]:
    if kind not in ADAPTERS:
        return (Source.AuthMode.API_KEY,)
    return ADAPTERS[kind].auth_modes


def _canonical_names(names: Sequence[str]) -> list[str]:
    """Return required fields by their canonical names; those of the landing form (`nome`) are understood too."""
    found = []
    for name in names:
        canonical = intake.canonical_name(name)
        if canonical not in LeadFields.__dataclass_fields__:
            raise Invalid(
                _("Alcuni campi non vanno bene."),
                details={"required_fields": [_("Il campo «%(field)s» non c’è.") % {"field": name}]},
            )
        found.append(canonical)
    return found


def _origins(origins: Sequence[str]) -> list[str]:
    """Return origins as browsers write them: scheme, host, port, nothing more."""
    found = []
    for origin in filter(None, (one.strip() for one in origins)):
        match = _ORIGIN.match(origin)
        if origin == "*":
            found.append(origin)
        elif match:
            found.append(f"{match['scheme'] or 'https://'}{match['host']}".lower())
        else:
            raise Invalid(
                _("Alcuni campi non vanno bene."),
                details={
                    "allowed_origins": [_("«%(origin)s» non è l’indirizzo di un sito.") % {"origin": origin}]
                },
            )
    return found


def _note(kind: str, subject_id: UUID, actor: User | None, now: datetime, **data: Any) -> None:
    events.record(kind=kind, subject_id=subject_id, at=now, data=_by(actor, **data))


def _by(actor: User | None, **data: Any) -> dict[str, Any]:
    return {"user_id": str(actor.id) if actor else None, **data}
