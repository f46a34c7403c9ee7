"""Permissions of people: kept as they were given, read as they hold now, taken back at any moment."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from django.core import signing
from django.db import connection, transaction
from django.utils.translation import gettext as _

from filiera.contacts import consent_rules, suppressions
from filiera.contacts.consent_rules import Act, Block
from filiera.contacts.models import Consent, Contact, ContactPhone, Suppression
from filiera.platform import bulk, events, live
from filiera.platform.ids import new_id
from filiera.platform.prepared import Prepared
from filiera.platform.refusals import Invalid, Missing

if TYPE_CHECKING:
    from filiera.capture.leads import IncomingLead

MARKETING, EMAIL, CALL = Consent.Purpose.MARKETING, Consent.Channel.EMAIL, Consent.Channel.CALL
PERMITTING = (
    *(Consent.Purpose.MARKETING, Consent.Purpose.NEWSLETTER),
    *(Consent.Purpose.PROFILING, Consent.Purpose.THIRD_PARTY),
)
_LATEST = Prepared(
    lambda one: (
        Consent.objects.filter(contact_id=one)
        .order_by("purpose", "channel", "-at", "-id")
        .distinct("purpose", "channel")
    )
)
_SIGNER = signing.Signer(salt="filiera.contacts.consents")


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission as it stands: whether it holds, since when, by which row, or which block stands against it."""

    purpose: str
    channel: str
    holds: bool
    consent: Consent | None
    block: Block | None


@dataclass(frozen=True, slots=True)
class Permissions:
    """All that a person was asked, and whether they opposed."""

    rows: Sequence[Permission]
    blocks: Sequence[Block]

    def of(self, purpose: str, channel: str) -> Permission:
        """Return one permission, also one that was never asked for."""
        for row in self.rows:
            if (row.purpose, row.channel) == (purpose, channel):
                return row
        return Permission(
            purpose, channel, False, None, consent_rules.latest_block(self.blocks, channel or Suppression.ANY)
        )


def keep(incoming: "Sequence[IncomingLead]", people: Sequence[Contact], *, now: datetime) -> None:
    """Keep what the boxes of these leads say, with one statement, and none where no box was.

    Where the request came from stands in the submission: address and browser are the person's own only in a form that
    their browser sent to us. A lead that is taken in twice adds nothing.
    """
    rows = [
        (
            *(
                new_id(),
                person.id,
                lead.submission_id,
                said.purpose,
                said.channel,
                said.given,
                lead.is_own_act,
            ),
            *(said.text, said.text_version, str(page)[:2_000], lead.received_at),
        )
        for lead, person in zip(incoming, people, strict=True)
        if "consents" in lead.custom
        for page in [(lead.custom.get("attribution") or {}).get("page_url", "")]
        for box in consent_rules.asked(lead.custom["consents"])
        for said in consent_rules.read(
            str(box.get("question", "")), box.get("answer"), form_id=str(box.get("form_id") or "")
        )
    ]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into contacts_consent (id, brand_id, contact_id, submission_id, purpose, channel, given, by_person,
                                          text, text_version, language, form_url, ip_address, user_agent, collected_by,
                                          record_hash, at, created_at)
            select (row->>0)::uuid, request.brand_id, (row->>1)::uuid, request.id, row->>3, row->>4, (row->>5)::boolean,
                   (row->>6)::boolean, row->>7, row->>8, case source.kind when 'landing' then 'it' else '' end,
                   coalesce(nullif(row->>9, ''), request.headers->>'referer', ''),
                   case source.auth_mode when 'public' then request.ip_address end,
                   case source.auth_mode when 'public' then request.user_agent else '' end,
                   source.name, '', (row->>10)::timestamptz, %s
            from jsonb_array_elements(%s::jsonb) as row
            join capture_submission request on request.id = (row->>2)::uuid
            join capture_source source on source.id = request.source_id
            on conflict (brand_id, contact_id, submission_id, purpose, channel, text_version) do nothing
            """,
            [now, orjson.dumps(rows).decode()],
        )


def permissions_of(contact: Contact, *, blocks: Sequence[Block] | None = None) -> Permissions:
    """Return the permissions of a person as they stand now, in three statements; in one where `blocks` are known."""
    if blocks is None:
        keys = keys_of([contact.id])
        blocks = [block for _key, block in suppressions.blocks_of(keys)] if keys else []
    rows = [
        Permission(
            purpose=one.purpose,
            channel=one.channel,
            holds=one.purpose in PERMITTING
            and consent_rules.holds(Act(one.given, one.by_person, one.at), blocks, one.channel),
            consent=one,
            block=consent_rules.latest_block(blocks, one.channel or Suppression.ANY),
        )
        for one in _LATEST(contact.id)
    ]
    return Permissions(rows, blocks)


def keys_of(contact_ids: Iterable[UUID]) -> set[str]:
    """Return the numbers and addresses of these people and of whoever was merged into them, for the suppressions."""
    ids = bulk.uuids(contact_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select phone_e164 from contacts_contactphone where contact_id = any(%s::uuid[]) and phone_e164 <> ''
            union select email_norm from contacts_contact where id = any(%s::uuid[]) and email_norm is not null
            union select email_norm from contacts_contact
                  where merged_into_id = any(%s::uuid[]) and email_norm is not null
            """,
            [ids, ids, ids],
        )
        return {row[0] for row in cursor.fetchall()}


def keys_of_others(contact_ids: Iterable[UUID], keys: Iterable[str]) -> set[str]:
    """Return which of these numbers and addresses somebody else has too."""
    ids, wanted = list(contact_ids), list(keys)
    numbers = ContactPhone.objects.filter(phone_e164__in=wanted).exclude(contact_id__in=ids)
    addresses = Contact.objects.filter(email_norm__in=wanted).exclude(id__in=ids)
    return set(
        numbers.values_list("phone_e164", flat=True).union(addresses.values_list("email_norm", flat=True))
    )


@transaction.atomic
def withdraw(
    contact: Contact,
    *,
    text: str,
    collected_by: str,
    now: datetime,
    ip_address: str | None = None,
    user_agent: str = "",
    form_url: str = "",
    channel: str = Suppression.ANY,
    reason: str = Suppression.Reason.WITHDRAWN,
) -> int:
    """Take back every permission of a channel, or all of them, at once; returns how many held.

    The numbers and addresses are suppressed too, so that no import gives back what the person took. The proof is a row
    like those of giving.
    """
    standing = [
        one for one in permissions_of(contact).rows if one.holds and channel in (one.channel, Suppression.ANY)
    ]
    said = {(one.purpose, one.channel) for one in standing}
    if not said:  # an opposition of who never consented is on record all the same
        said = {(MARKETING.value, CALL.value if channel == Suppression.ANY else channel)}
    for purpose, where in sorted(said):
        Consent.objects.create(
            contact=contact,
            purpose=purpose,
            channel=where,
            given=False,
            by_person=True,
            text=text,
            text_version=consent_rules.read(text, "")[0].text_version,
            form_url=form_url[:2_000],
            ip_address=ip_address,
            user_agent=user_agent[:500],
            collected_by=collected_by[:255],
            at=now,
            created_at=now,
        )
    suppressions.add(keys_of([contact.id]), channel=channel, reason=reason, now=now)
    events.record(
        kind="consent.withdrawn",
        subject_id=contact.id,
        at=now,
        data={"permissions": [list(one) for one in sorted(said)], "channel": channel, "reason": reason},
    )
    live.announce("leads")
    return len(standing)


def take_back(contact: Contact, *, channel: str, reason: str, user_name: str, now: datetime) -> int:
    """Withdraw what a colleague was asked to, on one channel or all; returns how many permissions held."""
    return withdraw(
        contact,
        text=_("Ha revocato a voce o per scritto."),
        collected_by=user_name,
        now=now,
        channel=channel,
        reason=reason,
    )


@transaction.atomic
def record(
    contact: Contact,
    *,
    purpose: str,
    channel: str,
    text: str,
    given_at: datetime,
    collected_by: str,
    language: str,
    user_name: str,
    now: datetime,
) -> Consent:
    """Keep a permission that a colleague collected: the exact words, when, how, and who wrote it down.

    It is no act of the person's own that we saw, so it ends no opposition (GD-28). Raises Invalid.
    """
    text, collected_by = (one.replace("\x00", "").strip() for one in (text, collected_by))
    wrong: dict[str, list[str]] = {}
    if purpose not in PERMITTING:
        wrong["purpose"] = [_("Scegli a che cosa ha acconsentito.")]
    if (purpose in (MARKETING, Consent.Purpose.NEWSLETTER)) != (
        channel in Consent.Channel.values and channel != ""
    ):
        wrong["channel"] = [_("Promozioni e newsletter hanno un canale, il resto no.")]
    if not text:
        wrong["text"] = [_("Servono le parole esatte che ha letto o sentito.")]
    if not collected_by:
        wrong["collected_by"] = [_("Scrivi come lo ha dato, e dov’è la prova.")]
    if given_at > now:
        wrong["given_at"] = [_("Nel futuro non ha ancora detto niente.")]
    if wrong:
        raise Invalid(_("Alcuni campi non vanno bene."), details=wrong)
    consent = Consent.objects.create(
        contact=contact,
        purpose=purpose,
        channel=channel,
        given=True,
        by_person=False,
        text=text[: consent_rules.LONGEST_TEXT],
        text_version=consent_rules.version_of(text),
        language=language,
        collected_by=f"{collected_by} ({user_name})"[:255],
        at=given_at,
        created_at=now,
    )
    events.record(
        kind="consent.recorded", subject_id=contact.id, at=now, data={"permission": [purpose, channel]}
    )
    live.announce("leads")
    return consent


def evidence_of(contact: Contact, *, now: datetime) -> dict[str, Any]:
    """Return every permission of a person with its proof, what holds now, and what stands against it (GD-02)."""
    found = permissions_of(contact)
    rows = Consent.objects.filter(contact_id=contact.id).order_by("at", "id")
    hidden = ("brand_id", "contact_id")
    return {
        "contact_id": contact.id,
        "made_at": now,
        "permissions": [
            {"purpose": one.purpose, "channel": one.channel, "holds": one.holds} for one in found.rows
        ],
        "blocks": [asdict(one) for one in found.blocks],
        "records": [
            {
                field.attname: getattr(row, field.attname)
                for field in Consent._meta.concrete_fields
                if field.attname not in hidden
            }
            for row in rows
        ],
    }


# The link that a person gets: their own page, without an account


def token_of(contact: Contact) -> str:
    """Return the secret part of the address of a person's permissions. It never ends: one may always take back."""
    return _SIGNER.sign(f"{contact.brand_id.hex}{contact.id.hex}")


def who(token: str) -> tuple[UUID, UUID]:
    """Return brand and person of a token. Raises Missing for any other text."""
    try:
        told = _SIGNER.unsign(token)
        return UUID(told[:32]), UUID(told[32:])
    except (signing.BadSignature, ValueError):
        raise Missing(_("Questo collegamento non è completo: aprilo di nuovo dalla nostra e-mail.")) from None
