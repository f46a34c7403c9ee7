"""What this room and the rooms below it hold about a person."""

from uuid import UUID

from django.utils.translation import gettext_noop as _

from filiera.capture.models import Source
from filiera.contacts.models import RetentionPolicy
from filiera.platform import holdings
from filiera.platform.holdings import Holding, Texts

THEIRS = "row.contact_id = any(%(people)s::uuid[])"


def register() -> None:
    """Say what is here, and what is about nobody."""
    holdings.register(
        Holding(
            "contacts_contact",
            _("Anagrafica"),
            "row.id = any(%(people)s::uuid[])",
            erased={
                **dict.fromkeys(("first_name", "last_name", "name_key", "surname_key"), Texts.EMPTY),
                **dict.fromkeys(("city", "cap", "company_name", "notes", "restricted_reason"), Texts.EMPTY),
                **dict.fromkeys(("email", "email_norm", "age"), Texts.NULL),
                "external_ids": Texts.OBJECT,
                "deleted_at": "coalesce(row.deleted_at, %(now)s)",
            },
            plain=("status",),
            hidden=("name_key", "surname_key", "email_norm"),
        ),
        Holding("contacts_contacttag", _("Etichette"), THEIRS, is_removed=True, hidden=("assigned_by_id",)),
        Holding("contacts_contactphone", _("Numeri di telefono"), THEIRS, is_removed=True),
        Holding(
            "contacts_duplicatesuggestion",
            _("Possibili doppioni"),
            f"({THEIRS} or row.other_id = any(%(people)s::uuid[]))",
            is_removed=True,
            hidden=("contact_id", "other_id"),  # the other one is somebody else
        ),
        Holding(
            "contacts_merge",
            _("Unioni con altre schede"),
            "(row.survivor_id = any(%(people)s::uuid[]) or row.merged_ids && %(people)s::uuid[])",
            erased={"manifest": Texts.OBJECT, "kept": "'[]'::jsonb"},
            hidden=("manifest", "kept"),
        ),
        Holding(
            "contacts_consent",
            _("Consensi e revoche, con la prova"),
            THEIRS,
            is_kept=True,
            plain=("purpose", "channel", "text_version", "language", "collected_by", "record_hash"),
            erased={"text": "", "form_url": "", "ip_address": "", "user_agent": ""},  # by its own function
        ),
        Holding(
            "contacts_importedcontact",
            _("Che cosa ne ha detto un file importato"),
            THEIRS,
            erased={"before": Texts.OBJECT, "after": Texts.OBJECT, "numbers": "'[]'::jsonb"},
            plain=("undo", "kept"),
        ),
        Holding(
            "contacts_importfault",
            _("Righe di file importati da correggere"),
            "row.cells::text ~* %(pattern)s",
            is_removed=True,
        ),
        Holding(
            "identity_outgoingemail",
            _("E-mail mandate"),
            "lower(row.to_address) = any(%(emails)s::text[])",
            erased={
                "to_address": "'cancellato@invalid'",
                **dict.fromkeys(("to_name", "subject", "body_text", "body_html", "last_error"), Texts.EMPTY),
                "status": "case row.status when 'queued' then 'failed' else row.status end",
            },
            plain=("kind",),
        ),
        Holding(
            "identity_notification",
            _("Avvisi ai colleghi che lo nominano"),
            "row.subject_id = any(%(people)s::uuid[])",
            is_removed=True,
            hidden=("user_id", "cause"),
        ),
        Holding(
            "platform_received",
            _("Messaggi dei fornitori, per esempio del centralino"),
            "encode(row.body, 'escape') ~* %(pattern)s",
            erased={"body": Texts.BYTES, "headers": Texts.OBJECT, "last_error": Texts.EMPTY},
            plain=("provider", "external_id"),
            hidden=("headers",),
        ),
    )
    holdings.about_nobody(
        contacts_duplicatescan="a search: how far it is and how much it found",
        contacts_importrun="a file: how it is read and what came of it; people are in its rows",
        contacts_importpiece="a file that waits for days; the lines of a person are found by looking for them",
        contacts_retentionpolicy="rules of the brand",
        contacts_tag="labels of the brand",
        contacts_suppression="keyed hashes: kept so that nobody comes back",
        identity_apikey="keys of programs",
        identity_closedaccess="roles of colleagues who are closed out",
        identity_invitation="who is invited to work here",
        identity_notificationchoice="what colleagues want to be told",
        identity_userrole="roles of colleagues",
        identity_vaultkey="secrets of providers, encrypted",
        platform_event="told by ids; values that stand in it are found by looking for them",
        platform_sitesetting="settings of the brand",
        capture_marketingsource="origins of leads",
        capture_source="doors of leads",
        audit_log="append-only: masked by its own function",
        contacts_erasure="manifests: places and counts, no value",
    )


def forget_colleague(_user_id: UUID, was: str, name: str) -> list[UUID]:
    """Take the name of who closed their account off the rules they answered for; who took a consent stays its proof."""
    policies = RetentionPolicy.objects.filter(owner=was)
    lists = list(Source.objects.filter(bought_list__checked_by=was))
    ids = [*policies.values_list("id", flat=True), *(one.id for one in lists)]
    policies.update(owner=name)
    for one in lists:
        one.bought_list["checked_by"] = name
        one.save(update_fields=["bought_list", "updated_at"])
    return ids
