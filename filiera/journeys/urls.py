from django.urls import URLPattern, URLResolver, path

from filiera.journeys import api

urlpatterns: list[URLPattern | URLResolver] = [path("api/leads", api.historic_leads)]
