from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "filiera.identity"
    label = "identity"
