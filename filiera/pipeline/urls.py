from django.urls import URLPattern, URLResolver, include, path

from filiera.pipeline import historic
from filiera.pipeline.historic import historic as serve

# /api/leads itself is in journeys/urls.py: reading it is this room's part, creating a lead is the whole path's.
urlpatterns: list[URLPattern | URLResolver] = [
    path("api/leads/duplicates", serve(get=historic.list_duplicates)),
    path("api/leads/merge", serve(post=historic.merge_leads)),
    path(
        "api/leads/<str:lead_id>",
        serve(get=historic.read_lead, patch=historic.edit_lead, delete=historic.delete_lead),
    ),
    path("api/leads/<str:lead_id>/timeline", serve(get=historic.read_timeline)),
    path("api/activities", serve(get=historic.list_activities, post=historic.create_activity)),
    path(
        "api/activities/<str:activity_id>",
        serve(patch=historic.edit_activity, delete=historic.delete_activity),
    ),
    path("", include("filiera.pipeline.pages_board")),
]
