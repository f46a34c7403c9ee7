from django.urls import URLPattern, URLResolver, include, path

from filiera.routing import api

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/ghl-webhooks/stats", api.historic(api.stats)),
    path("api/ghl-webhooks/analytics", api.historic(api.analytics)),
    path("api/ghl-webhooks/recent-processes", api.historic(api.recent_processes)),
    path("api/ghl-webhooks/health", api.historic(api.health)),
    path("", include("filiera.routing.pages")),
]
