"""What can be done to many leads at once: a table of deeds, to which rooms add theirs at start.

A deed knows whom it leaves alone and why, does it to one lead, and takes it back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from filiera.contacts import tags
from filiera.contacts.models import LeadState
from filiera.identity.models import User
from filiera.pipeline import commands as pipeline
from filiera.pipeline.commands import EXCLUSIONS, SOON, SOON_ONLY
from filiera.pipeline.rules import WON
from filiera.platform import bulk
from filiera.platform.refusals import Invalid
from filiera.workspace import lead_list

Options = dict[str, str]
Kept = dict[str, Any]
"""What a lead was before a deed and after it: what taking it back compares and restores."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the deeds look at in one lead."""

    contact_id: UUID
    name: str
    status: str
    owner_id: UUID | None
    is_in_bin: bool
    event_id: UUID | None
    event_at: datetime | None
    is_archived: bool
    excluded: str
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Deed:
    """Who does it, with which options, when."""

    user_id: UUID | None
    options: Options
    now: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """What a page has read already and deeds offer a choice of."""

    colleagues: Sequence[User]
    tags: Sequence[tags.Branch]


@dataclass(frozen=True, slots=True)
class Action:
    """One deed. `skips` says why a lead is left alone, or ""; `kept` is what of a lead it changes.

    `choices` are the values and words of its option; `checked` returns the options that are fit, raising Invalid;
    `words` says with them what will be done.
    """

    key: str
    label: str | Promise
    icon: str
    permission: str
    words: Callable[[Options], str]
    checked: Callable[[Mapping[str, str]], Options]
    skips: Callable[[Facts, Deed], str]
    kept: Callable[[Facts], Kept]
    apply: Callable[[Facts, Deed], None]
    undo: Callable[[Facts, Kept, Deed], None]
    choices: Callable[[Known], Sequence[tuple[str, str]]] = lambda _known: ()
    option: str = ""
    is_dangerous: bool = False


_actions: dict[str, Action] = {}


def register(*actions: Action) -> None:
    """Let a room add deeds; a key said again is replaced."""
    _actions.update({action.key: action for action in actions})


def all_of_them() -> list[Action]:
    """Return the deeds, in the order in which they were added."""
    return list(_actions.values())


def action_of(key: str) -> Action:
    """Return a deed. Raises Invalid for an unknown one."""
    if key not in _actions:
        raise Invalid(_("Scegli che cosa fare."))
    return _actions[key]


def facts_of(contact_ids: Sequence[UUID]) -> dict[UUID, Facts]:
    """Return the facts of these leads, also of those in the bin, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select contact.id, coalesce(nullif(trim(contact.first_name || ' ' || contact.last_name), ''),
                                        nullif(contact.company_name, ''), contact.email, ''),
                   contact.status, contact.assigned_user_id, contact.deleted_at is not null,
                   event.id, event.received_at, coalesce(event.archived, false),
                   coalesce(event.excluded_reason, ''),
                   array(select carried.tag_id::text from contacts_contacttag carried
                         where carried.contact_id = contact.id order by 1)
            from unnest(%s::uuid[]) wanted(id)
            cross join lateral (select * from contacts_contact where id = wanted.id limit 1) contact
            left join lateral (
                select id, received_at, archived, excluded_reason from pipeline_leadevent
                where contact_id = contact.id order by received_at desc, id desc limit 1
            ) event on true
            where contact.merged_into_id is null
            """,
            [bulk.uuids(contact_ids)],
        )
        return {row[0]: Facts(*row) for row in cursor.fetchall()}


# Assign


def _owners(colleagues: Sequence[User]) -> list[tuple[str, str]]:
    return [*((str(one.pk), one.name) for one in colleagues), ("nessuno", _("Nessuno"))]


def _owner(options: Options) -> UUID | None:
    return None if options["owner"] == "nessuno" else UUID(options["owner"])


def _checked_owner(given: Mapping[str, str]) -> Options:
    names = dict(_owners(lead_list.colleagues()))
    if given.get("owner", "") not in names:
        raise Invalid(_("Scegli a chi assegnare, e almeno un lead."))
    return {"owner": given["owner"], "name": names[given["owner"]]}


def _assign(facts: Facts, owner_id: UUID | None, deed: Deed) -> None:
    pipeline.edit_lead(
        contact_id=facts.contact_id,
        changes={"assigned_user_id": owner_id},
        now=deed.now,
        user_id=deed.user_id,
    )


# State


def _states() -> list[tuple[str, str]]:
    return [(state.value, str(state.label)) for state in LeadState if state.value != WON]


def _checked_state(given: Mapping[str, str]) -> Options:
    state = given.get("stato_nuovo", "")
    if state not in dict(_states()):
        raise Invalid(_("Scegli lo stato."))
    reason = given.get("motivo_perso", "").replace("\x00", "").strip()[:200]
    return {"stato_nuovo": state, "name": str(LeadState(state).label), "motivo_perso": reason}


def _set_state(facts: Facts, deed: Deed) -> None:
    pipeline.set_lead_state(
        contact_id=facts.contact_id,
        state=deed.options["stato_nuovo"],
        now=deed.now,
        user_id=deed.user_id,
        lost_reason=deed.options.get("motivo_perso", ""),
    )


def _set_state_back(facts: Facts, before: Kept, deed: Deed) -> None:
    pipeline.set_lead_state(
        contact_id=facts.contact_id, state=before["status"], now=deed.now, user_id=deed.user_id
    )


def _state_skips(facts: Facts, deed: Deed) -> str:
    if facts.status == deed.options["stato_nuovo"]:
        return _("è già in questo stato")
    return _("ha una vendita chiusa") if facts.status == WON else ""


# Tags


def _checked_tag(given: Mapping[str, str]) -> Options:
    names = {str(branch.tag.pk): branch.path for branch in tags.tree()}
    if given.get("etichetta", "") not in names:
        raise Invalid(_("Scegli l’etichetta."))
    return {"etichetta": given["etichetta"], "name": names[given["etichetta"]]}


def _tag(facts: Facts, deed: Deed) -> None:
    tags.assign(
        tag_id=UUID(deed.options["etichetta"]),
        entity_type="contact",
        entity_ids=[facts.contact_id],
        now=deed.now,
        user_id=deed.user_id,
    )


def _untag(facts: Facts, _before: Kept, deed: Deed) -> None:
    tags.unassign(
        tag_id=UUID(deed.options["etichetta"]), entity_type="contact", entity_ids=[facts.contact_id]
    )


# Archive and exclude: about the last request


def _event(facts: Facts) -> UUID:
    if facts.event_id is None:
        raise Invalid(_("Non ha richieste."))
    return facts.event_id


def _checked_reason(given: Mapping[str, str]) -> Options:
    reason = given.get("motivo", "")
    if reason not in EXCLUSIONS:
        raise Invalid(_("Scegli il motivo."))
    return {"motivo": reason, "name": str(EXCLUSIONS[reason])}


def _exclusion_skips(facts: Facts, deed: Deed) -> str:
    if facts.event_id is None or facts.event_at is None:
        return _("non ha richieste")
    if facts.excluded:
        return _("è già escluso dalle cifre")
    if deed.options["motivo"] in SOON_ONLY and deed.now - facts.event_at > SOON:
        return _("per questo motivo si esclude solo nelle prime 72 ore")
    return ""


def _archive_skips(facts: Facts, _deed: Deed) -> str:
    if facts.event_id is None:
        return _("non ha richieste")
    return _("è già archiviato") if facts.is_archived else ""


def _exclude(facts: Facts, reason: str, deed: Deed) -> None:
    pipeline.exclude_lead(event_id=_event(facts), reason=reason, now=deed.now, user_id=deed.user_id)


def _archive(facts: Facts, archived: bool, deed: Deed) -> None:
    pipeline.archive_lead(event_id=_event(facts), archived=archived, now=deed.now)


# The bin


def _move_to_bin(facts: Facts, deed: Deed) -> None:
    pipeline.delete_leads(contact_ids=[facts.contact_id], now=deed.now, user_id=deed.user_id)


def _take_out(facts: Facts, deed: Deed) -> None:
    pipeline.restore_leads(contact_ids=[facts.contact_id], now=deed.now, user_id=deed.user_id)


OURS: Final = (
    Action(
        key="assegna",
        label=gettext_lazy("Assegna"),
        icon="user-plus",
        permission="edit_contacts",
        option="owner",
        choices=lambda known: _owners(known.colleagues),
        words=lambda options: _("Assegna a %(name)s") % options,
        checked=_checked_owner,
        skips=lambda facts, deed: _("è già suo") if facts.owner_id == _owner(deed.options) else "",
        kept=lambda facts: {"owner": str(facts.owner_id) if facts.owner_id else ""},
        apply=lambda facts, deed: _assign(facts, _owner(deed.options), deed),
        undo=lambda facts, before, deed: _assign(
            facts, UUID(before["owner"]) if before["owner"] else None, deed
        ),
    ),
    Action(
        key="stato",
        label=gettext_lazy("Cambia stato"),
        icon="arrow-right",
        permission="manage_deals",
        option="stato_nuovo",
        choices=lambda _known: _states(),
        words=lambda options: _("Porta in %(name)s") % options,
        checked=_checked_state,
        skips=_state_skips,
        kept=lambda facts: {"status": facts.status},
        apply=_set_state,
        undo=_set_state_back,
    ),
    Action(
        key="etichetta",
        label=gettext_lazy("Etichetta"),
        icon="plus",
        permission="edit_contacts",
        option="etichetta",
        choices=lambda known: [(str(branch.tag.pk), branch.path) for branch in known.tags],
        words=lambda options: _("Metti l’etichetta %(name)s") % options,
        checked=_checked_tag,
        skips=lambda facts, deed: _("ce l’ha già") if deed.options["etichetta"] in facts.tags else "",
        kept=lambda facts: {"tags": facts.tags},
        apply=_tag,
        undo=_untag,
    ),
    Action(
        key="archivia",
        label=gettext_lazy("Archivia"),
        icon="inbox",
        permission="edit_contacts",
        words=lambda _options: _("Archivia: non compaiono più in Oggi, restano nelle cifre"),
        checked=lambda _given: {},
        skips=_archive_skips,
        kept=lambda facts: {"archived": facts.is_archived},
        apply=lambda facts, deed: _archive(facts, True, deed),
        undo=lambda facts, before, deed: _archive(facts, before["archived"], deed),
    ),
    Action(
        key="escludi",
        label=gettext_lazy("Escludi dalle cifre"),
        icon="circle-x",
        permission="edit_contacts",
        option="motivo",
        choices=lambda _known: [(key, str(words)) for key, words in EXCLUSIONS.items()],
        words=lambda options: _("Escludi dalle cifre: %(name)s") % options,
        checked=_checked_reason,
        skips=_exclusion_skips,
        kept=lambda facts: {"excluded": facts.excluded},
        apply=lambda facts, deed: _exclude(facts, deed.options["motivo"], deed),
        undo=lambda facts, before, deed: _exclude(facts, before["excluded"], deed),
    ),
    Action(
        key="elimina",
        label=gettext_lazy("Sposta nel cestino"),
        icon="trash",
        permission="edit_contacts",
        is_dangerous=True,
        words=lambda _options: _("Sposta nel cestino per 30 giorni"),
        checked=lambda _given: {},
        skips=lambda facts, _deed: _("è già nel cestino") if facts.is_in_bin else "",
        kept=lambda facts: {"bin": facts.is_in_bin},
        apply=_move_to_bin,
        undo=lambda facts, _before, deed: _take_out(facts, deed),
    ),
)
