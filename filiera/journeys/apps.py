from django.apps import AppConfig


class JourneysConfig(AppConfig):
    name = "filiera.journeys"
    label = "journeys"

    def ready(self) -> None:
        """Hang the steps on the events they follow, and say what people are told of."""
        from filiera.journeys import notices, steps, tasks
        from filiera.platform import events

        notices.register()

        for kind in steps.NEXT:
            events.continue_with(kind, tasks.defer_steps)
