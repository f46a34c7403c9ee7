"""Who asks, for which brand: set once, before any view, for the whole transaction of the request."""

from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from filiera.identity import queries
from filiera.platform import brand_scope, logs

Next = Callable[[HttpRequest], HttpResponse]


class PrincipalAndBrand:
    """Open the brand scope of the request and name the principal; nobody signed in means no brand and no rows.

    An answer of 500 and above rolls everything back. The brand is always set, also to none: inside an outer
    transaction (a test's) the setting of an earlier request would still be there.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        principal = queries.principal_of(request.user, wanted=_wanted_brand(request))
        request.principal = principal  # type: ignore[attr-defined]
        language = principal.user.language if principal else _guest_language(request)
        brand = principal.brand if principal else None
        logs.note(
            user_id=str(principal.user.id) if principal else None, brand_id=str(brand.id) if brand else None
        )
        with (
            translation.override(language),
            timezone.override(brand.timezone if brand else settings.TIME_ZONE),
            brand_scope.use(brand.id if brand else None),
        ):
            request.LANGUAGE_CODE = language
            response = self.get_response(request)
            if hasattr(response, "render") and not getattr(response, "is_rendered", True):
                response = response.render()
            if response.status_code >= 500:
                transaction.set_rollback(True)
            response.setdefault("Content-Language", language)
            return response


def _wanted_brand(request: HttpRequest) -> UUID | None:
    """Return the brand asked for: the header of an API client first, then the one chosen in the workspace."""
    for text in (request.headers.get("X-Brand-ID"), request.session.get("brand_id")):
        try:
            if text:
                return UUID(str(text))
        except ValueError:
            continue
    return None


def _guest_language(request: HttpRequest) -> str:
    chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
    return chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
