"""The versioned API: one NinjaAPI, a router per room, behind a bearer token or the cookie of the workspace."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.utils import check_csrf

from filiera.identity.api import browser_login
from filiera.journeys import api as journeys  # noqa: F401 (adds its operations to the pipeline's router)
from filiera.platform.api import OrjsonRenderer, answer_refusals
from filiera.platform.refusals import Forbidden


def signed_in(request: HttpRequest) -> Any:
    """Let a signed-in user with a role in some brand through; ninja answers 401 to others.

    Where a cookie signed in, what changes something must also bring the CSRF token. Raises Forbidden without it.
    """
    principal = getattr(request, "principal", None)
    if principal and check_csrf(request):
        raise Forbidden(_("Manca il gettone CSRF: mandalo nell’intestazione X-CSRFToken."))
    return principal


api = NinjaAPI(
    title="Filiera",
    version="1",
    urls_namespace="api-v1",
    renderer=OrjsonRenderer(),
    auth=signed_in,
    docs_url=None,
    openapi_url="/openapi.json",
)
answer_refusals(api)
api.add_router("", "filiera.identity.api.router")
api.add_router("", "filiera.identity.keys_api.router")
api.add_router("", "filiera.identity.audit_api.router")
api.add_router("", "filiera.identity.people_api.router")
api.add_router("", "filiera.identity.notifications_api.router")
api.add_router("", "filiera.contacts.importing.api.router")  # first: /leads/import is no lead's id
api.add_router("", "filiera.contacts.api.router")  # leads/merge stands before leads/{lead_id}
api.add_router("", "filiera.contacts.tags_api.router")
api.add_router("", "filiera.contacts.rights_api.router")
api.add_router("", "filiera.pipeline.api.router")
api.add_router("/capture", "filiera.capture.api.router")
api.add_router("/routing", "filiera.routing.api.router")

operations, application, namespace = api.urls
for operation in operations:
    if isinstance(operation, URLPattern):
        login_not_required(operation.callback)  # who is not signed in hears 401, and is not sent to a page

# Signing in is also where it was before there were versions; POST /api/auth/login is the browser's own.
SHORT = "auth/"
short = [
    path(f"api/{operation.pattern}", operation.callback)
    for operation in operations
    if isinstance(operation, URLPattern) and str(operation.pattern).startswith(SHORT)
]

urlpatterns = [
    path("api/auth/login", login_not_required(browser_login), name="api-auth-login"),
    path("api/v1/", (operations, application, namespace)),
    *short,
]
