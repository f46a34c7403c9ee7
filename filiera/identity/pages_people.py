"""The pages of who works in the brand: the list, a person with what they may and why, and the invited one's door."""

import re
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from filiera.identity import colleagues, google, leaving, people, permissions, sessions, words
from filiera.identity.models import Role
from filiera.identity.permissions import Principal, demand_in_person
from filiera.platform.refusals import Forbidden, Invalid, Missing, Refused

MANAGE = "manage_users"


@require_GET
def show_all(request: HttpRequest) -> HttpResponse:
    """Show who works in the brand, who was invited, and what the brand grants to roles."""
    return _list(request, demand_in_person(request, MANAGE))


@require_POST
def invite(request: HttpRequest) -> HttpResponse:
    """Send an invitation; a mistake brings the page back with what was typed."""
    principal = demand_in_person(request, MANAGE)
    email, roles = request.POST.get("email", "").replace("\x00", ""), request.POST.getlist("role")
    try:
        invitation = people.invite(principal=principal, email=email, roles=roles, now=timezone.now())
    except Forbidden:
        raise
    except Refused as refusal:
        return _list(
            request, principal, refused=refusal, typed={"email": email, "roles": roles}, status=refusal.status
        )
    messages.success(request, _("Invito mandato a %(email)s.") % {"email": invitation.email})
    return redirect("people")


@require_POST
def withdraw(request: HttpRequest, invitation_id: UUID) -> HttpResponse:
    """Take an invitation back."""
    demand_in_person(request, MANAGE)
    people.withdraw(invitation_id=invitation_id)
    messages.success(request, _("Invito ritirato: il suo indirizzo non apre più niente."))
    return redirect("people")


@require_POST
def grant(request: HttpRequest) -> HttpResponse:
    """Grant the chosen permissions to the roles of the brand, and take back the others."""
    principal = demand_in_person(request, MANAGE)
    chosen, now = set(request.POST.getlist("grant")), timezone.now()
    for role in _grant_roles():
        for permission in permissions.GRANTABLE:
            is_on = f"{role}:{permission}" in chosen
            people.grant(principal=principal, role=role, permission=permission, is_on=is_on, now=now)
    messages.success(request, _("Permessi salvati: valgono dalla prossima pagina."))
    return redirect("people")


@require_POST
def let_in_domains(request: HttpRequest) -> HttpResponse:
    """Let the Google accounts of some companies in; a mistake brings the page back with what was typed."""
    principal = demand_in_person(request, MANAGE)
    typed = request.POST.get("domains", "").replace("\x00", "")[:5000]
    role = request.POST.get("role", "")
    try:
        people.let_in_domains(
            principal=principal, domains=re.split(r"[\s,;]+", typed), role=role, now=timezone.now()
        )
    except Refused as refusal:
        return _list(
            request,
            principal,
            google_refused=refusal,
            typed={"domains": typed, "domain_role": role},
            status=refusal.status,
        )
    messages.success(request, _("Domini salvati: chi arriva da lì con Google entra da solo."))
    return redirect("people")


@require_GET
def show(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Show a person: their roles, what they may do here and why."""
    return _person(request, demand_in_person(request, MANAGE), user_id)


@require_POST
def set_roles(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Give a person the chosen roles and no others."""
    principal = demand_in_person(request, MANAGE)
    try:
        user = people.set_roles(principal=principal, user_id=user_id, roles=request.POST.getlist("role"))
    except (Forbidden, Missing):
        raise
    except Refused as refusal:
        return _person(request, principal, user_id, refused=refusal, status=refusal.status)
    messages.success(request, _("Ruoli di %(name)s salvati.") % {"name": user.name})
    return redirect("person", user_id)


@require_POST
def switch(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Close a person out of the brand, or let them in again."""
    principal = demand_in_person(request, MANAGE)
    try:
        if request.POST.get("on") == "on":
            user = people.open_access(principal=principal, user_id=user_id)
            text = _("%(name)s può entrare di nuovo.") % {"name": user.name}
        else:
            user = people.close_access(principal=principal, user_id=user_id, now=timezone.now())
            text = _("%(name)s non entra più, da adesso e ovunque sia.") % {"name": user.name}
    except (Forbidden, Missing):
        raise
    except Refused as refusal:
        return _person(request, principal, user_id, refused=refusal, status=refusal.status)
    messages.success(request, text)
    return redirect("person", user_id)


@require_POST
def reopen(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Give who asked to leave their account back."""
    principal = demand_in_person(request, MANAGE)
    try:
        user = leaving.reopen(principal=principal, user_id=user_id, now=timezone.now())
    except leaving.TooLate as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("L’account di %(name)s è riaperto.") % {"name": user.name})
    return redirect("people")


@require_POST
def end_sessions(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Sign a person out on every device that works in this brand."""
    principal = demand_in_person(request, MANAGE)
    ended = people.end_sessions(principal=principal, user_id=user_id, now=timezone.now())
    text = ngettext("Un accesso chiuso.", "%(n)s accessi chiusi.", ended) % {"n": ended}
    messages.success(request, text if ended else _("Non era dentro da nessuna parte."))
    return redirect("person", user_id)


@never_cache
@login_not_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Let who was invited come in: with the account of that e-mail, or with a new one."""
    now = timezone.now()
    try:
        brand, invited, known = people.invitation_of(token, now=now)
    except people.InvitationOver as refusal:
        return _door(request, {"over": str(refusal)}, status=410)
    context: dict[str, Any] = {
        "brand": brand,
        "invited": invited,
        "is_known": known is not None,
        "roles": ", ".join(str(Role(role).label) for role in invited.roles),
    }
    if request.method == "GET":
        return _door(request, context)
    name = request.POST.get("name", "")
    try:
        user = people.accept(secret=token, name=name, password=request.POST.get("password", ""), now=now)
    except Invalid as refusal:
        return _door(request, {**context, "name": name, "errors": refusal.details}, status=400)
    except people.InvitationOver as refusal:
        return _door(request, {"over": str(refusal)}, status=410)
    answer = redirect("login" if known else "today")
    if known is None:  # who has an account already comes in by their own door, with all that it asks
        sessions.enter(request, answer, user, now=now)
    return answer


def _list(
    request: HttpRequest,
    principal: Principal,
    *,
    refused: Refused | None = None,
    google_refused: Refused | None = None,
    typed: dict[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    now = timezone.now()
    domains = principal.brand.settings.get(people.DOMAINS, {})
    domain_role = next((one["role"] for one in domains.values()), Role.GUEST)
    texts = words.of_permissions()
    context = {
        "page": "people",
        "page_title": _("Utenti"),
        "people": colleagues.of_brand(),
        "invitations": [
            {"one": one, "roles": ", ".join(str(Role(role).label) for role in one.roles)}
            for one in colleagues.invitations()
        ],
        "leaving": [
            {"user": user, "ends_at": leaving.ends_at(user)} for user in leaving.leaving_from_brand()
        ],
        "roles": _role_choices(principal, (typed or {}).get("roles", [Role.SALES])),
        "grants": [
            {
                "role": Role(role).label,
                "boxes": [
                    {
                        "value": f"{role}:{permission}",
                        "text": texts[permission],
                        "on": permission in principal.brand.role_grants.get(role, ()),
                    }
                    for permission in permissions.GRANTABLE
                ],
            }
            for role in _grant_roles()
        ],
        "email": (typed or {}).get("email", ""),
        "refused": refused,
        "now": now,
        "has_google": google.is_configured(),
        "google_refused": google_refused,
        "domains": (typed or {}).get("domains", "\n".join(sorted(domains))),
        "domain_roles": [
            {
                "value": role,
                "label": Role(role).label,
                "on": role == (typed or {}).get("domain_role", domain_role),
            }
            for role in people.BY_DOMAIN
        ],
    }
    return render(request, "identity/people.html", context, status=status)


def _person(
    request: HttpRequest,
    principal: Principal,
    user_id: UUID,
    *,
    refused: Refused | None = None,
    status: int = 200,
) -> HttpResponse:
    one = colleagues.one_of_brand(user_id)
    context = {
        "page": "people",
        "page_title": one.user.name,
        "one": one,
        "roles": _role_choices(principal, one.roles),
        "reasons": colleagues.reasons(one.user, principal.brand),
        "devices": sessions.count_in(one.user, principal.brand, now=timezone.now()),
        "refused": refused,
        "now": timezone.now(),
    }
    return render(request, "identity/person.html", context, status=status)


def _role_choices(principal: Principal, chosen: Any) -> list[dict[str, Any]]:
    """Return the roles that one may give here; the highest only where it can be given or is held."""
    texts = words.of_roles()
    return [
        {"value": role, "label": Role(role).label, "text": texts[role], "on": role in chosen}
        for role in texts
        if role != Role.SUPER_ADMIN or Role.SUPER_ADMIN in principal.roles or role in chosen
    ]


def _grant_roles() -> list[str]:
    """Return the roles that a brand may grant something to: the others have everything already, or work elsewhere."""
    return [Role.SALES, Role.SUPPORT, Role.EDITOR]


def _door(request: HttpRequest, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    # Its address is a secret, which the policy of every page, same-origin, keeps here. A stricter one would leave a
    # browser's form without its origin, and we take none without.
    return render(request, "identity/invitation.html", context, status=status)
