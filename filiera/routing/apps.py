import os

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    name = "filiera.routing"
    label = "routing"

    def ready(self) -> None:
        """Choose which areas log in detail, and tell this room's part of every person's thread."""
        from filiera.contacts import timeline as threads
        from filiera.identity import leaving
        from filiera.pipeline import commands as pipeline
        from filiera.routing import areas, gate, holdings, merging, timeline

        holdings.register()
        merging.register()
        leaving.also(holdings.forget_colleague)
        threads.register("routing", timeline.read)
        pipeline.before_a_call("routing", gate.demand_opening)
        areas.enable(os.environ.get("FILIERA_DEBUG_AREAS", ""))
