"""A lead written on top of a column of the board: the whole path of a lead, then the column the hand chose."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from filiera.identity.permissions import demand
from filiera.journeys import manual
from filiera.pipeline import commands as pipeline
from filiera.pipeline import pages_board
from filiera.platform.refusals import Invalid, Missing

_FIELDS = {"Nome": "name", "Telefono": "phone", "Provenienza": "provenance"}


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Create the lead in `stage` and answer its card; on a refusal the sentences by field, and nothing is written."""
    principal = demand(request, "create_lead")
    now = timezone.now()
    try:
        stage_id = UUID(request.POST.get("stage", ""))
    except ValueError as error:
        raise Missing(_("Questa colonna non c’è più.")) from error
    try:
        lead = manual.create_lead(
            name=request.POST.get("name", ""),
            phone=request.POST.get("phone", ""),
            provenance=request.POST.get("provenance", ""),
            actor=principal.user,
            now=now,
        )
    except Invalid as refusal:
        details = {_FIELDS.get(name, name): sentences for name, sentences in refusal.details.items()}
        return JsonResponse({"text": str(refusal), "details": details}, status=refusal.status)
    deal = pipeline.move_deal(deal_id=lead.deal.id, stage_id=stage_id, user_id=principal.user.id, now=now)
    name = lead.contact.full_name
    text = (
        _("%(name)s è già tra i contatti: la trattativa è la sua.")
        if lead.is_returning
        else _("%(name)s è in bacheca.")
    )
    return pages_board.answer_new(request, deal, text=text % {"name": name})


urlpatterns = [path("board/add", add, name="board-add")]
