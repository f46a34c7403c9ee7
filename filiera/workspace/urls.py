from django.urls import URLPattern, URLResolver, path

from filiera.workspace import pages

urlpatterns: list[URLPattern | URLResolver] = [
    path("", pages.home, name="home"),
    path("dashboard", pages.home, name="dashboard"),
    path("brands/select", pages.select_brand, name="brand-select"),
    path("me/preferences", pages.save_preferences, name="preferences"),
    path("me/availability", pages.switch_availability, name="availability"),
]
