"""What this room holds about a person, and the requests that its lead events came from."""

from django.utils.translation import gettext_noop as _

from filiera.contacts.holdings import THEIRS
from filiera.platform import holdings
from filiera.platform.holdings import Holding, Texts

_OF_DEALS = "row.deal_id in (select id from pipeline_deal where contact_id = any(%(people)s::uuid[]))"


def register() -> None:
    """Say what is here, and what is about nobody."""
    holdings.register(
        Holding(
            "capture_submission",
            _("Richieste come sono arrivate"),
            "row.id in (select submission_id from pipeline_leadevent where contact_id = any(%(people)s::uuid[]))",
            erased={
                "body": Texts.BYTES,
                **dict.fromkeys(("headers",), Texts.OBJECT),
                **dict.fromkeys(("retrieved", "response", "ip_address"), Texts.NULL),
                **dict.fromkeys(
                    ("user_agent", "dedupe_key", "body_hash", "last_error", "dead_reason"), Texts.EMPTY
                ),
                "path": "split_part(row.path, '?', 1)",
                "request_id": "row.id::text",
            },
            plain=(
                *("lead_id", "method", "content_type", "status", "error_code", "queue_state", "leased_by"),
            ),
            shared=(
                "exists (select from pipeline_leadevent other where other.submission_id = row.id"
                " and other.contact_id <> all(%(people)s::uuid[]))"
            ),
            told=("body", "retrieved", "response"),
            hidden=("headers", "leased_by", "dedupe_key", "body_hash"),
        ),
        Holding(
            "pipeline_leadevent",
            _("Richieste"),
            THEIRS,
            erased={
                "message": Texts.EMPTY,
                "payload": Texts.OBJECT,
                "external_id": "row.id::text",
            },
            plain=(
                *("source", "requested_service", "requested_package", "ai_priority", "ai_model_version"),
                *("ai_prompt_version", "excluded_reason"),
            ),
        ),
        Holding(
            "pipeline_deal",
            _("Trattative"),
            THEIRS,
            erased={"title": Texts.EMPTY, "lost_reason": Texts.EMPTY},
            plain=("status", "currency"),
        ),
        Holding(
            "pipeline_dealclosing",
            _("Chiusure delle trattative"),
            _OF_DEALS,
            erased={"lost_reason": Texts.EMPTY},
            plain=("status", "closed_by"),
        ),
        Holding(
            "pipeline_stagehistory",
            _("Passaggi di stato"),
            _OF_DEALS,
            is_kept=True,
            plain=("changed_by", "change_reason"),
        ),
        Holding(
            "pipeline_activity",
            _("Attività"),
            THEIRS,
            erased={
                **dict.fromkeys(("title", "note", "outcome"), Texts.EMPTY),
                **dict.fromkeys(("google_calendar_event_id", "google_etag"), Texts.EMPTY),
            },
            plain=("type", "status", "direction", "origin", "cause"),
        ),
    )
    holdings.about_nobody(
        pipeline_stage="stages of the brand",
        pipeline_stageversion="stages of the brand",
        pipeline_staterule="rules of the brand",
    )
