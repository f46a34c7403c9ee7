from django.urls import URLPattern, URLResolver, path

from filiera.identity import pages

urlpatterns: list[URLPattern | URLResolver] = [
    path("login", pages.sign_in, name="login"),
    path("logout", pages.sign_out, name="logout"),
    path("login/language", pages.choose_language, name="guest-language"),
]
