from django.apps import AppConfig


class CaptureConfig(AppConfig):
    name = "filiera.capture"
    label = "capture"

    def ready(self) -> None:
        """Let a rotation of the master key take the signing secrets along."""
        from filiera.capture.models import Source
        from filiera.capture.source_cache import signing_context
        from filiera.identity import rotation

        rotation.covers(Source, "signing_secret", context=lambda source: signing_context(source.id))
