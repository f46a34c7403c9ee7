from django.urls import URLPattern, URLResolver, path

from filiera.contacts import pages

urlpatterns: list[URLPattern | URLResolver] = [
    path("permessi/<str:token>", pages.permissions, name="my-permissions"),
]
