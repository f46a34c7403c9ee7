"""The page of who looks after the house: what works, what waits, what failed, and the hand to try again."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from filiera.identity.permissions import demand
from filiera.journeys.tasks import defer_steps
from filiera.platform.jobs import app
from filiera.platform.models import Event
from filiera.platform.refusals import Missing
from filiera.workspace import system

_MOST_AT_ONCE = 500


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """Show the state of every part; the sentence on top says how many ask for somebody."""
    principal = demand(request, "system_settings")
    now = timezone.now()
    picture = system.picture(brand_id=principal.brand_id, now=now)
    context = {
        "page": "system",
        "page_title": _("Sistema"),
        "picture": picture,
        "opening": _opening(picture),
        "now": now,
    }
    return render(request, "workspace/system.html", context)


@require_POST
def retry_steps(request: HttpRequest) -> HttpResponse:
    """Enqueue again the steps of the events that none has handled."""
    demand(request, "system_settings")
    waiting = list(Event.objects.filter(handled_at__isnull=True).order_by("at")[:_MOST_AT_ONCE])
    defer_steps(waiting)
    text = ngettext("Un passo rimesso in coda.", "%(n)s passi rimessi in coda.", len(waiting))
    messages.success(request, text % {"n": len(waiting)})
    return redirect("system")


@require_POST
def retry_job(request: HttpRequest, job_id: int) -> HttpResponse:
    """Let a job that gave up run once more."""
    principal = demand(request, "system_settings")
    if not system.is_failed_job(job_id, principal.brand_id):
        raise Missing(_("Questo lavoro non c’è, o non è più fermo."))
    app.job_manager.retry_job_by_id(job_id, retry_at=timezone.now())
    messages.success(request, _("Lavoro rimesso in coda."))
    return redirect("system")


def _opening(picture: system.Picture) -> str:
    count = len(picture.troubled)
    if not count:
        return _("Tutto funziona.")
    return ngettext("Una cosa da guardare.", "%(n)s cose da guardare.", count) % {"n": count}


urlpatterns = [
    path("system", show, name="system"),
    path("system/steps/retry", retry_steps, name="system-steps"),
    path("system/jobs/<int:job_id>/retry", retry_job, name="system-job"),
]
