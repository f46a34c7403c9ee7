"""The versioned API: one NinjaAPI, a router per room, behind the session of the workspace."""

from typing import Any

from django.http import HttpRequest
from django.urls import path
from ninja import NinjaAPI

from filiera.platform.api import OrjsonRenderer, answer_refusals


def signed_in(request: HttpRequest) -> Any:
    """Let a signed-in user with a role in some brand through; ninja answers 401 to others."""
    return getattr(request, "principal", None)


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
api.add_router("/routing", "filiera.routing.api.router")

urlpatterns = [path("api/v1/", api.urls)]
