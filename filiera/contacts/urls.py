from django.urls import URLPattern, URLResolver, include, path

from filiera.contacts import pages

urlpatterns: list[URLPattern | URLResolver] = [
    path("permessi/<str:token>", pages.permissions, name="my-permissions"),
    path("", include("filiera.contacts.importing.pages")),
]
