from django.apps import AppConfig


class PipelineConfig(AppConfig):
    name = "filiera.pipeline"
    label = "pipeline"

    def ready(self) -> None:
        """Tell this room's part of every person's thread, and what became of each request that came in."""
        from filiera.capture import queries as intake
        from filiera.contacts import tags
        from filiera.contacts import timeline as threads
        from filiera.contacts.importing import undoing
        from filiera.pipeline import holdings, merging, queries, timeline
        from filiera.pipeline.models import Deal, DealTag, LeadEvent, LeadEventTag

        threads.register("pipeline", timeline.read)
        holdings.register()
        merging.register()
        tags.register("deal", tags.Kind(Deal, DealTag, "deal_id"))
        tags.register("lead_event", tags.Kind(LeadEvent, LeadEventTag, "lead_event_id"))
        undoing.keep_when_in_use("pipeline", queries.worked_with)
        intake.find_lead_events_with(queries.first_event_of)
