"""The page of a person's permissions: theirs by a signed link, without an account."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from filiera.contacts import consents, queries
from filiera.contacts.models import Suppression
from filiera.identity.models import Brand
from filiera.platform import brand_scope


# The token is the proof, and one-click unsubscribing posts without a cookie (RFC 8058).
@csrf_exempt
@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def permissions(request: HttpRequest, token: str) -> HttpResponse:
    """Show what a person permitted; a POST takes it back, a GET never does (GD-06, GD-20)."""
    brand_id, contact_id = consents.who(token)
    with brand_scope.use(brand_id):
        contact = queries.contact_for(contact_id, with_deleted=True)
        if request.method == "POST":
            consents.withdraw(
                contact,
                text=_("Revoco i miei permessi e non voglio promozioni."),
                collected_by="permission page",
                now=timezone.now(),
                ip_address=request.META.get("REMOTE_ADDR") or None,
                user_agent=request.headers.get("User-Agent", "").replace("\0", ""),
                form_url=request.path.removesuffix(token),
                reason=Suppression.Reason.WITHDRAWN,
            )
        found = consents.permissions_of(contact)
        context = {
            "brand": Brand.objects.get(id=brand_id),
            "standing": [one for one in found.rows if one.holds],
            "is_blocked": bool(found.blocks),
            "is_done": request.method == "POST",
        }
        return render(request, "contacts/permissions.html", context)
