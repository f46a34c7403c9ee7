from django.apps import AppConfig


class PipelineConfig(AppConfig):
    name = "filiera.pipeline"
    label = "pipeline"

    def ready(self) -> None:
        """Tell this room's part of every person's thread."""
        from filiera.contacts import timeline as threads
        from filiera.pipeline import timeline

        threads.register("pipeline", timeline.read)
