from django.urls import URLPattern, URLResolver, include, path

from filiera.routing import api, webhooks

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/ghl-webhooks/stats", api.historic(api.stats)),
    path("api/ghl-webhooks/analytics", api.historic(api.analytics)),
    path("api/ghl-webhooks/recent-processes", api.historic(api.recent_processes)),
    path("api/ghl-webhooks/health", api.historic(api.health)),
    path("api/v1/webhooks/cloudtalk/<uuid:connection_id>", webhooks.cloudtalk, name="cloudtalk-webhook"),
    path("", include("filiera.routing.pages")),
]
