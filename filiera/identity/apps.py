from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "filiera.identity"
    label = "identity"

    def ready(self) -> None:
        from filiera.identity import metrics  # noqa: F401 (its figures are read when they are asked for)
