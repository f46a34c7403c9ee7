import os

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    name = "filiera.routing"
    label = "routing"

    def ready(self) -> None:
        """Choose which areas log in detail."""
        from filiera.routing import areas

        areas.enable(os.environ.get("FILIERA_DEBUG_AREAS", ""))
