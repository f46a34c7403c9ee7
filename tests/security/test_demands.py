"""What every address demands, and that each role is let in or refused by it, with nothing in between.

The table says it once more than the code does: an address that is not in it fails here, and so does one that demands
something else than the table says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from filiera.identity import permissions
from filiera.identity.models import Role
from filiera.identity.permissions import Principal
from filiera.platform.refusals import Forbidden
from tests.conftest import _person
from tests.security.routes import Route, ask, operations, pages, values_of
from tests.security.test_other_brands import PUBLIC
from tests.security.world import World, undone

OWN = ""
"""One's own account, choices and session; the first page, and pages that only lead on to others."""

DEMANDS: dict[str, tuple[str, ...]] = {
    "manage_users": (
        "GET /utenti",
        "POST /utenti/invita",
        "POST /utenti/inviti/<uuid:invitation_id>/ritira",
        "POST /utenti/permessi",
        "POST /utenti/google",
        "POST /utenti/<uuid:user_id>/riapri",
        "GET /utenti/<uuid:user_id>",
        "POST /utenti/<uuid:user_id>/ruoli",
        "POST /utenti/<uuid:user_id>/accesso",
        "POST /utenti/<uuid:user_id>/sessioni",
        "GET /api/v1/admin/users",
        "POST /api/v1/admin/users",
        "PATCH /api/v1/admin/users/<user_id>",
        "POST /api/v1/admin/users/<user_id>/roles",
    ),
    "manage_brands": ("POST /marchi", "POST /api/v1/brands"),
    "view_all_brands": ("GET /marchi/tutti",),
    "create_lead": (
        "POST /api/leads",
        "GET /leads/new",
        "POST /leads/new",
        "POST /leads/new/number",
        "POST /board/add",
        "POST /api/v1/leads",
    ),
    "edit_contacts": (
        "PATCH /api/leads/<str:lead_id>",
        "DELETE /api/leads/<str:lead_id>",
        "POST /leads/assign",
        "POST /leads/massa",
        "POST /leads/massa/avvia",
        "POST /leads/massa/<uuid:run_id>/ferma",
        "POST /leads/massa/<uuid:run_id>/annulla",
        "GET /leads/<uuid:contact_id>/phone",
        "GET /leads/<uuid:contact_id>/cells/<slug:name>",
        "POST /leads/<uuid:contact_id>/cells/<slug:name>",
        "POST /leads/<uuid:contact_id>/phone",
        "GET /leads/<uuid:contact_id>/fields/<slug:name>",
        "POST /leads/<uuid:contact_id>/fields/<slug:name>",
        "POST /leads/<uuid:contact_id>/fields/<slug:name>/check",
        "POST /leads/<uuid:contact_id>/call",
        "POST /leads/<uuid:contact_id>/oppose",
        "POST /leads/<uuid:contact_id>/consents",
        "POST /leads/<uuid:contact_id>/withdraw",
        "POST /leads/<uuid:contact_id>/restrict",
        "POST /leads/<uuid:contact_id>/delete",
        "POST /leads/<uuid:contact_id>/restore",
        "POST /leads/<uuid:contact_id>/duplicates/<uuid:suggestion_id>/dismiss",
        "POST /leads/doppioni/cerca",
        "POST /leads/doppioni/<uuid:scan_id>/ferma",
        "POST /leads/doppioni/<uuid:first_id>/<uuid:second_id>",
        "POST /api/v1/leads/duplicates",
        "POST /api/v1/leads/duplicates/dismiss",
        "GET /leads/unisci",
        "POST /etichette",
        "POST /etichette/<uuid:tag_id>",
        "POST /etichette/<uuid:tag_id>/elimina",
        "POST /leads/<uuid:contact_id>/etichette",
        "POST /api/v1/tags",
        "PATCH /api/v1/tags/<tag_id>",
        "DELETE /api/v1/tags/<tag_id>",
        "POST /api/v1/tags/<tag_id>/assignments",
        "DELETE /api/v1/tags/<tag_id>/assignments",
        "POST /leads/unisci",
        "POST /leads/unioni/<uuid:merge_id>/annulla",
        "POST /api/leads/merge",
        "POST /api/v1/leads/merge",
        "POST /api/v1/leads/merges/<merge_id>/undo",
        "PATCH /api/v1/leads/<lead_id>",
        "DELETE /api/v1/leads/<lead_id>",
        "POST /api/v1/leads/<lead_id>/consents",
        "POST /api/v1/leads/<lead_id>/consents/withdraw",
        "POST /api/v1/leads/<lead_id>/restriction",
    ),
    "export_data": (
        "GET /leads/esporta",
        "POST /leads/esporta",
        "GET /api/v1/leads/export",
        "GET /api/v1/routing/export",
    ),
    "manage_activities": (
        "POST /api/activities",
        "PATCH /api/activities/<str:activity_id>",
        "DELETE /api/activities/<str:activity_id>",
        "POST /leads/<uuid:contact_id>/activities",
        "POST /activities/<uuid:activity_id>/finish",
        "POST /api/v1/activities",
        "PATCH /api/v1/activities/<activity_id>",
        "DELETE /api/v1/activities/<activity_id>",
    ),
    "manage_deals": (
        "GET /board",
        "GET /board/columns/<uuid:stage_id>",
        "POST /board/move",
        "POST /board/undo",
        "POST /leads/<uuid:contact_id>/move",
        "POST /leads/<uuid:contact_id>/reopen",
        "POST /api/v1/deals",
        "PATCH /api/v1/deals/<deal_id>",
        "POST /api/v1/deals/<deal_id>/move",
        "POST /api/v1/deals/<deal_id>/close",
        "POST /api/v1/deals/<deal_id>/reopen",
    ),
    "manage_intake": (
        "GET /leads/importa",
        "POST /leads/importa/file",
        "GET /leads/importa/<uuid:import_id>",
        "POST /leads/importa/<uuid:import_id>/lettura",
        "POST /leads/importa/<uuid:import_id>/colonne",
        "POST /leads/importa/<uuid:import_id>/origine",
        "POST /leads/importa/<uuid:import_id>/prova",
        "POST /leads/importa/<uuid:import_id>/avvia",
        "POST /leads/importa/<uuid:import_id>/ferma",
        "POST /leads/importa/<uuid:import_id>/annulla",
        "POST /leads/importa/<uuid:import_id>/togli",
        "GET /leads/importa/<uuid:import_id>/da-correggere",
        "POST /api/v1/leads/import",
        "GET /api/v1/leads/imports/<import_id>",
        "POST /api/v1/leads/imports/<import_id>/undo",
        "GET /sources",
        "GET /sources/new",
        "POST /sources/new",
        "GET /sources/<uuid:source_id>",
        "POST /sources/<uuid:source_id>",
        "POST /sources/<uuid:source_id>/try",
        "GET /sources/<uuid:source_id>/address",
        "GET /sources/<uuid:source_id>/limits",
        "POST /sources/<uuid:source_id>/limits",
        "GET /sources/<uuid:source_id>/history",
        "POST /sources/<uuid:source_id>/rotate",
        "POST /sources/<uuid:source_id>/switch",
        "POST /sources/<uuid:source_id>/on",
        "GET /inbound",
        "GET /inbound/dead",
        "POST /inbound/requeue",
        "POST /inbound/<uuid:submission_id>/discard",
        "POST /inbound/<uuid:submission_id>/undo-discard",
        "GET /api/v1/capture/sources",
        "POST /api/v1/capture/sources",
        "GET /api/v1/capture/sources/<source_id>",
        "PATCH /api/v1/capture/sources/<source_id>",
        "DELETE /api/v1/capture/sources/<source_id>",
        "POST /api/v1/capture/sources/<source_id>/rotate-key",
        "GET /api/v1/capture/queue",
        "GET /api/v1/capture/queue/dead",
        "POST /api/v1/capture/queue/dead/requeue-all",
        "POST /api/v1/capture/queue/dead/<submission_id>/requeue",
        "DELETE /api/v1/capture/queue/dead/<submission_id>",
        "GET /api/v1/capture/requests",
        "GET /api/v1/capture/requests/<submission_id>",
        "POST /api/v1/capture/requests/<submission_id>/replay",
    ),
    "manage_pipeline": (
        "POST /api/v1/pipeline/stages",
        "POST /api/v1/pipeline/stages/reorder",
        "PATCH /api/v1/pipeline/stages/<stage_id>",
        "DELETE /api/v1/pipeline/stages/<stage_id>",
    ),
    "manage_routing": (
        "POST /agents/sync",
        "POST /agents/reset",
        "POST /agents/reset/undo",
        "GET /agents/rule",
        "POST /agents/rule",
        "GET /agents/<uuid:agent_id>",
        "POST /agents/<uuid:agent_id>",
        "POST /agents/<uuid:agent_id>/switch",
        "POST /api/v1/routing/agents",
        "PATCH /api/v1/routing/agents/<agent_id>",
        "DELETE /api/v1/routing/agents/<agent_id>",
        "POST /api/v1/routing/agents/sync",
        "POST /api/v1/routing/reset",
        "POST /api/v1/routing/policy",
        "POST /api/v1/routing/processes/<process_id>/retry",
        "POST /api/v1/routing/cleanup",
    ),
    "system_settings": (
        "GET /registro",
        "GET /registro/export",
        "GET /api/v1/admin/audit",
        "GET /api/v1/admin/audit/export",
        "GET /developers/api-keys",
        "GET /developers/api-keys/new",
        "POST /developers/api-keys/new",
        "GET /developers/api-keys/<uuid:key_id>",
        "POST /developers/api-keys/<uuid:key_id>",
        "POST /developers/api-keys/<uuid:key_id>/switch",
        "GET /developers/api-keys/access/new",
        "POST /developers/api-keys/access/new",
        "POST /developers/api-keys/access/<uuid:key_id>/revoke",
        "GET /api/api-keys",
        "POST /api/api-keys",
        "PATCH /api/api-keys/<uuid:key_id>",
        "DELETE /api/api-keys/<uuid:key_id>",
        "POST /leads/<uuid:contact_id>/data",
        "POST /leads/<uuid:contact_id>/evidence",
        "POST /leads/<uuid:contact_id>/lift",
        "GET /privacy",
        "POST /privacy/chiamate",
        "POST /privacy/registro-opposizioni",
        "POST /privacy/registro-opposizioni/numeri",
        "POST /privacy/numeri",
        "POST /privacy/numeri/<uuid:number_id>",
        "POST /privacy/moduli/<uuid:source_id>",
        "POST /privacy/liste",
        "POST /privacy/centralino",
        "POST /privacy/conservazione",
        "GET /leads/<uuid:contact_id>/erase",
        "POST /leads/<uuid:contact_id>/erase",
        "GET /marchi",
        "GET /marchi/<uuid:brand_id>",
        "POST /marchi/<uuid:brand_id>",
        "GET /system",
        "POST /system/steps/retry",
        "POST /system/jobs/<int:job_id>/retry",
        "PATCH /api/v1/brands/<brand_id>",
        "DELETE /api/v1/leads/<lead_id>/restriction",
        "GET /api/v1/api-keys",
        "POST /api/v1/api-keys",
        "PATCH /api/v1/api-keys/<key_id>",
        "DELETE /api/v1/api-keys/<key_id>",
        "GET /api/v1/access-keys",
        "POST /api/v1/access-keys",
        "DELETE /api/v1/access-keys/<key_id>",
    ),
    "view_contacts": (
        "GET /leads/doppioni",
        "GET /leads/doppioni/a-che-punto",
        "GET /api/leads/duplicates",
        "GET /api/v1/leads/duplicates",
        "GET /api/v1/leads/duplicates/search",
        "GET /leads/unioni",
        "GET /etichette",
        "GET /api/v1/tags",
        "GET /api/v1/leads/merges",
        "GET /api/v1/leads/<lead_id>/consents",
        "GET /api/v1/leads/<lead_id>/restriction",
        "GET /api/leads/<str:lead_id>",
        "GET /api/leads/<str:lead_id>/timeline",
        "GET /api/activities",
        "GET /api/leads",
        "GET /leads",
        "GET /leads/quanti",
        "GET /leads/massa/<uuid:run_id>",
        "POST /leads/viste",
        "POST /leads/viste/<uuid:view_id>",
        "POST /leads/viste/<uuid:view_id>/fissa",
        "POST /leads/viste/<uuid:view_id>/elimina",
        "POST /leads/colonne",
        "GET /leads/<uuid:contact_id>/accanto",
        "GET /leads/<uuid:contact_id>/collegati",
        "POST /leads/<uuid:contact_id>/looking",
        "GET /leads/<uuid:contact_id>",
        "GET /leads/<uuid:contact_id>/privacy",
        "GET /api/v1/leads",
        "GET /api/v1/leads/<lead_id>",
        "GET /api/v1/leads/<lead_id>/timeline",
        "GET /api/v1/deals",
        "GET /api/v1/pipeline/board",
        "GET /api/v1/deals/<deal_id>",
        "GET /api/v1/deals/<deal_id>/history",
        "GET /api/v1/pipeline/stages",
        "GET /api/v1/activities",
    ),
    "view_routing": (
        "GET /api/ghl-webhooks/stats",
        "GET /api/ghl-webhooks/analytics",
        "GET /api/ghl-webhooks/recent-processes",
        "GET /api/ghl-webhooks/health",
        "GET /agents",
        "GET /figures",
        "GET /leads/<uuid:contact_id>/why",
        "GET /api/v1/routing/stats",
        "GET /api/v1/routing/analytics",
        "GET /api/v1/routing/recent-processes",
        "GET /api/v1/routing/health",
        "GET /api/v1/routing/agents",
        "GET /api/v1/routing/agents/<agent_id>",
    ),
    OWN: (
        "GET /",
        "GET /dashboard",
        "GET /marketing/sources",
        "POST /marketing/sources",
        "GET /oggi",
        "GET /cerca",
        "POST /brands/select",
        "POST /me/preferences",
        "POST /me/availability",
        "GET /account",
        "GET /account/second-factor",
        "POST /account/second-factor",
        "POST /account/recovery-codes",
        "GET /account/passkeys",
        "POST /account/passkeys",
        "POST /account/passkeys/options",
        "GET /account/passkeys/<int:passkey_id>",
        "POST /account/passkeys/<int:passkey_id>",
        "POST /account/passkeys/<int:passkey_id>/remove",
        "POST /account/sessions/end",
        "GET /notifiche",
        "POST /account/close",
        "POST /notifiche/lette",
        "POST /notifiche/annulla",
        "POST /notifiche/scelte",
        "POST /notifiche/<uuid:notification_id>",
        "GET /api/v1/notifications",
        "POST /api/v1/notifications/<notification_id>/read",
        "POST /api/v1/notifications/read-all",
        "POST /account/sessions/<uuid:session_id>/end",
        "POST /api/auth/logout",
        "POST /api/auth/mfa/setup",
        "POST /api/auth/mfa/enable",
        "POST /api/auth/mfa/disable",
        "POST /api/auth/mfa/backup-codes",
        "POST /api/v1/auth/logout",
        "GET /api/v1/brands",
        "POST /api/v1/brands/select",
        "POST /api/v1/auth/mfa/setup",
        "POST /api/v1/auth/mfa/enable",
        "POST /api/v1/auth/mfa/disable",
        "POST /api/v1/auth/mfa/backup-codes",
        "GET /api/v1/users/me",
        "PATCH /api/v1/users/me",
        "DELETE /api/v1/users/me",
        "GET /api/v1/users/me/sessions",
        "DELETE /api/v1/users/me/sessions",
        "DELETE /api/v1/users/me/sessions/<session_id>",
    ),
}

METHODS_NOT_ANSWERED = 405


class Asked:
    """What a request asked of its principal and whether it was refused."""

    def __init__(self) -> None:
        self.permissions: list[str] = []
        self.is_refused = False


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a context that watches what is asked."""
    may, refuse = Principal.may, Forbidden.__init__
    asked = Asked()

    def may_watched(self: Principal, permission: str) -> bool:
        asked.permissions.append(permission)
        return may(self, permission)

    def refuse_watched(self: Forbidden, *given: Any, **named: Any) -> None:
        asked.is_refused = True
        refuse(self, *given, **named)

    monkeypatch.setattr(Principal, "may", may_watched)
    monkeypatch.setattr(Forbidden, "__init__", refuse_watched)

    @contextmanager
    def watching() -> Iterator[Asked]:
        asked.permissions.clear()
        asked.is_refused = False
        yield asked

    return watching


def routes() -> list[Route]:
    return [route for route in (*pages(), *operations()) if route.address not in PUBLIC]


def demanded_of(route: Route) -> str | None:
    return next((demand for demand, those in DEMANDS.items() if str(route) in those), None)


def test_the_table_names_real_addresses_and_permissions() -> None:
    real = {str(route) for route in routes()}
    assert {one for those in DEMANDS.values() for one in those} - real == set()
    assert set(DEMANDS) - {OWN} <= permissions.NAMED | {permissions.EXPORT}


@pytest.mark.parametrize("role", list(Role))
def test_each_role_is_let_in_or_refused_and_a_refusal_writes_nothing(
    own: World, quadranorma: Any, watch: Any, role: str
) -> None:
    client, allowed = Client(raise_request_exception=False), permissions.of_roles([role])
    client.force_login(_person("Gaia Prova", "gaia@quadranorma.example", quadranorma, role))
    cookies = client.cookies.output(header="", sep=";")
    values, wrong, answered = values_of(own), [], 0
    for route in routes():
        demanded = demanded_of(route)
        with undone(), watch() as asked, CaptureQueriesContext(connection) as statements:
            answer = ask(client, route, values)
        client.cookies = SimpleCookie(cookies)
        if answer.status_code == METHODS_NOT_ANSWERED:
            continue
        answered += 1
        if demanded is None:
            wrong.append(f"{route}: say in DEMANDS what it demands")
        elif demanded == OWN:
            if asked.is_refused:
                wrong.append(f"{route}: refused {asked.permissions}")
        elif permissions.allows(allowed, demanded):
            if (
                asked.permissions[:1] != [demanded]
                or asked.is_refused
                or answer.status_code in (401, 403, 500)
            ):
                wrong.append(f"{route}: {answer.status_code} for who may, asked {asked.permissions}")
        else:
            written = [
                one["sql"] for one in statements if one["sql"].startswith(("INSERT", "UPDATE", "DELETE"))
            ]
            status = 403 if route.is_api else 404
            if asked.permissions[:1] != [demanded] or answer.status_code != status or written:
                wrong.append(
                    f"{route}: {answer.status_code} for who may not, asked {asked.permissions}, {written}"
                )
    assert not wrong, "\n".join(wrong)
    assert answered > 120


def test_oggi_and_the_palette_of_a_guest_show_nobody(own: World, quadranorma: Any) -> None:
    client = Client()
    client.force_login(_person("Gaia Prova", "gaia@quadranorma.example", quadranorma, Role.GUEST))
    for address in ("/oggi", "/cerca", f"/cerca?q={own.mark}"):
        page = client.get(address).content.decode()
        assert own.mark not in page.replace(f"“{own.mark}”", "")
        assert "/system" not in page
