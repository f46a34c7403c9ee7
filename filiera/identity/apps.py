from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "filiera.identity"
    label = "identity"

    def ready(self) -> None:
        from allauth.mfa.models import Authenticator

        from filiera.identity import (
            metrics,  # noqa: F401 (its figures are read when they are asked for)
            rotation,
            second_factor,
        )

        rotation.covers(Authenticator, "data", member="secret", context=second_factor.context_of)
