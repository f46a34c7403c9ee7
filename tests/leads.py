"""Leads for tests, as the capture room hands them on, each in a submission that is really there."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from filiera.capture.leads import IncomingLead
from filiera.capture.models import Source, Submission
from filiera.identity.models import Brand
from filiera.platform import brand_scope
from filiera.platform.ids import new_id

NOW = datetime(2026, 10, 13, 8, 41, 55, tzinfo=UTC)


def source(name: str = "", **fields: Any) -> Source:
    """Return a source of the open brand, its landing page unless named, made when it is not there."""
    name = name or f"landing-{Brand.objects.get(id=brand_scope.current()).slug}"
    found = Source.objects.filter(name=name).first()
    return found or Source.objects.create(name=name, kind="landing", **fields)


def submission(of: Source, *, at: datetime = NOW) -> Submission:
    """Return a new submission of a source, as the accept path writes it."""
    request_id = str(new_id())
    return Submission.objects.create(
        source=of,
        request_id=request_id,
        lead_id=f"LEAD_{request_id}",
        method="POST",
        path="/api/lead",
        body=b"{}",
        body_hash="",
        received_at=at,
        visible_at=at,
    )


def incoming(**fields: Any) -> IncomingLead:
    """Return a lead of the open brand, in a new submission unless `submission_id` is given.

    Adele by default; what is given replaces her fields.
    """
    of = source()
    at = fields.get("received_at", NOW)
    if "submission_id" not in fields:
        fields["submission_id"] = submission(of, at=at).id
    lead = IncomingLead(
        submission_id=fields["submission_id"],
        source_id=of.id,
        source_name=of.name,
        brand_id=brand_scope.current(),
        marketing_source_id=None,
        auto_call=True,
        received_at=at,
        occurred_at=at,
        first_name="Adele",
        last_name="Brunetti",
        email="adele.brunetti@posta.example",
        phone="+39 351 000 4127",
        city="",
        cap="",
        company="",
        service_code="FAMILY",
        package_code="BASE",
        wants_contract=False,
        wants_brochure=False,
        age=None,
        external_id="",
        notes="",
        custom={},
        is_test=False,
    )
    return replace(lead, **fields)


def take_in(*leads: IncomingLead, now: datetime = NOW) -> list[Any]:
    """Recognise the people of these leads and open their deals, as the main path does with a batch."""
    from filiera.contacts import commands as contacts
    from filiera.pipeline import commands as pipeline

    batch = list(leads)
    recognition = contacts.recognise(batch, now=now)
    opening = pipeline.open_leads(batch, recognition.people, now=now)
    recognition.write(but=opening.unneeded)
    opening.write()
    return opening.leads
