from django.urls import URLPattern, URLResolver, include, path

from filiera.capture import landing

urlpatterns: list[URLPattern | URLResolver] = [
    path("l/<str:source_name>", landing.form, name="landing"),
    path("l/<str:source_name>/ricevuta", landing.received, name="landing-received"),
    path("", include("filiera.capture.pages")),
]
