"""The door for the telephony provider's events: kept raw, answered at once, read by a job (ROU-68)."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from filiera.platform import brand_scope
from filiera.platform.api import failure
from filiera.platform.models import Received
from filiera.routing import hooks, wake

LARGEST_BODY = 64 * 1024


@csrf_exempt
@login_not_required
def cloudtalk(request: HttpRequest, connection_id: UUID) -> HttpResponse:
    """Take one event. 401 for a wrong token or connection, alike; 200 also for an event that came before."""
    if request.method != "POST":
        return failure(request, code="METHOD_NOT_ALLOWED", message="POST", status=405)
    brand_id = _brand_of(connection_id, request.headers.get("Authorization", ""))
    if brand_id is None:
        return failure(request, code="UNAUTHENTICATED", message="Bearer token", status=401)
    if int(request.headers.get("Content-Length") or 0) > LARGEST_BODY:
        return failure(request, code="PAYLOAD_TOO_LARGE", message="64 kB", status=413)
    body, now = request.body, timezone.now()
    received = Received(
        brand_id=brand_id,
        provider=hooks.PROVIDER,
        external_id=hooks.external_id(body, hooks.parse(body), now=now)[:255],
        headers={
            name: value
            for name, value in request.headers.items()
            if name.lower() in {"content-type", "user-agent"}
        },
        body=body,
        received_at=now,
    )
    with brand_scope.use(brand_id):
        Received.objects.bulk_create([received], ignore_conflicts=True)
        if Received.objects.filter(id=received.id).exists():
            wake.handle_events_soon(brand_id)
    return JsonResponse({"success": True})


def _brand_of(connection_id: UUID, authorization: str) -> UUID | None:
    """Return the brand of the connection whose token this is; None for any other token, and for none."""
    scheme, _space, token = authorization.partition(" ")
    with connection.cursor() as cursor:
        cursor.execute("select brand_id, webhook_token_hash from routing_connection_of(%s)", [connection_id])
        row = cursor.fetchone()
    expected = row[1] if row else ""
    given = hashlib.sha256(token.strip().encode()).hexdigest()
    known = hmac.compare_digest(given, expected or "-")
    return row[0] if row and known and scheme.lower() == "bearer" else None
