from django.apps import AppConfig


class JourneysConfig(AppConfig):
    name = "filiera.journeys"
    label = "journeys"

    def ready(self) -> None:
        """Hang the steps on the events they follow."""
        from filiera.journeys import steps, tasks
        from filiera.platform import events

        for kind in steps.NEXT:
            events.continue_with(kind, tasks.defer_steps)
