"""Every address of the house, room by room. What a room offers is in its own urls.py."""

from django.urls import include, path

urlpatterns = [
    path("", include("filiera.platform.urls")),
    path("", include("filiera.identity.urls")),
    path("", include("filiera.capture.urls")),
    path("", include("filiera.contacts.urls")),
    path("", include("filiera.pipeline.urls")),
    path("", include("filiera.routing.urls")),
    path("", include("filiera.journeys.urls")),
    path("", include("filiera.workspace.urls")),
    path("", include("filiera.api_urls")),
]
handler403 = "filiera.workspace.errors.missing"
handler404 = "filiera.workspace.errors.missing"
handler500 = "filiera.workspace.errors.fault"
