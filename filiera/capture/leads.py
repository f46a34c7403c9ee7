"""What the later rooms get of a submission: its leads, in canonical fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from filiera.capture import documents
from filiera.capture.adapters import LeadFields, Unmappable, usable_mapping
from filiera.capture.intake import adapter_of
from filiera.capture.models import MarketingSource, Source, Submission
from filiera.identity.models import Brand
from filiera.platform import brand_scope


@dataclass(frozen=True, slots=True)
class IncomingLead:
    """One lead inside a submission. Texts are "" when absent, the phone is as typed.

    `external_id` is the sender's name for the lead, "" when the sender has none that lasts; `custom` holds what no
    canonical field does: answers by their question, `attribution`, `consents`.
    """

    submission_id: UUID
    source_id: UUID
    source_name: str
    brand_id: UUID
    marketing_source_id: UUID | None
    auto_call: bool
    received_at: datetime
    occurred_at: datetime
    first_name: str
    last_name: str
    email: str
    phone: str
    city: str
    cap: str
    company: str
    service_code: str
    package_code: str
    wants_contract: bool
    wants_brochure: bool
    age: int | None
    external_id: str
    notes: str
    custom: dict[str, Any]
    is_test: bool
    default_country: str = "IT"
    source_label: str = ""
    # The person sent it themselves, in a form; an import, a typed lead, another program's message is no act of theirs.
    is_own_act: bool = True


FORMS = frozenset(
    {
        *("landing", "meta", "google_ads", "tiktok", "typeform", "tally"),
        *("contact_form_7", "elementor", "gravity_forms"),
    }
)


_TOLD = frozenset(field.name for field in fields(IncomingLead)) & frozenset(LeadFields.__dataclass_fields__)
_TOLD_AS_IS = tuple(sorted(_TOLD - {"occurred_at", "external_id", "custom"}))


def read(submissions: Sequence[Submission]) -> list[IncomingLead]:
    """Return the leads of one brand's submissions, in their order, by the mappings as they are now.

    Runs three statements at most, whatever the number. A submission from which nothing can be read any more gives no
    lead, and queue.finish marks it as rejected.
    """
    if not submissions:
        return []
    sources = Source.objects.in_bulk({submission.source_id for submission in submissions})
    brand = Brand.objects.only("default_country").get(id=brand_scope.current())
    found: list[tuple[LeadFields, Submission, Source]] = []
    for submission in submissions:
        source = sources[submission.source_id]
        try:
            told = leads_of(source, submission)
        except Unmappable as refusal:
            submission.status, submission.error_code = Submission.Status.REJECTED, refusal.code
            continue
        found += [(lead, submission, source) for lead in told if lead.has_contact]
    named = _named_origins({lead.source_label for lead, _one, source in found if _is_asked(lead, source)})
    return [_incoming(*each, named=named, country=brand.default_country) for each in found]


def leads_of(
    source: Source, submission: Submission, mapping: Mapping[str, str] | None = None
) -> list[LeadFields]:
    """Return the leads of a stored request, by the source's mapping or another one. Raises Unmappable."""
    try:
        document = documents.parse(bytes(submission.body), submission.content_type or "application/json")
    except documents.Unreadable as trouble:
        raise Unmappable("UNREADABLE") from trouble
    chosen = usable_mapping(source.mapping) if mapping is None else mapping
    return adapter_of(source.kind).read(document, chosen, submission.retrieved or {})


def _is_asked(lead: LeadFields, source: Source) -> bool:
    """Tell whether what a lead says about its origin counts: typed by a person, or the source says nothing itself."""
    return bool(lead.source_label) and (source.kind == "manual" or source.marketing_source_id is None)


def _named_origins(labels: set[str]) -> dict[str, UUID]:
    """Return the active marketing sources by the names and aliases that were said."""
    if not labels:
        return {}
    said = list(labels)
    origins = MarketingSource.objects.filter(Q(name__in=said) | Q(aliases__overlap=said), is_active=True)
    return {
        name: origin.id for origin in origins.order_by("-name") for name in (*origin.aliases, origin.name)
    }


def _incoming(
    lead: LeadFields, submission: Submission, source: Source, *, named: Mapping[str, UUID], country: str
) -> IncomingLead:
    occurred_at = lead.occurred_at or submission.received_at
    external_id, custom = lead.external_id, lead.custom
    if external_id and adapter_of(source.kind).dedupe_window_s:
        # The sender names the person and not this lead: the same one may come again next month.
        external_id, custom = "", {**custom, "contact_id": external_id}
    return IncomingLead(
        **{name: getattr(lead, name) for name in _TOLD_AS_IS},
        submission_id=submission.id,
        source_id=source.id,
        source_name=source.name,
        brand_id=submission.brand_id,
        marketing_source_id=(named.get(lead.source_label) if _is_asked(lead, source) else None)
        or source.marketing_source_id,
        # Who stands in a list that was bought has asked for nothing (GD-07).
        auto_call=source.auto_call and not source.bought_list,
        received_at=submission.received_at,
        # A sender's clock may be wrong; what has come has happened.
        occurred_at=min(occurred_at, submission.received_at),
        external_id=external_id,
        custom=custom,
        default_country=country,
        is_own_act=source.kind in FORMS,
    )
