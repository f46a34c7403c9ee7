from django.apps import AppConfig


class ContactsConfig(AppConfig):
    name = "filiera.contacts"
    label = "contacts"

    def ready(self) -> None:
        """Say what this room and those below it hold about a person."""
        from filiera.contacts import holdings, timeline
        from filiera.contacts.merging import contacts as merging
        from filiera.contacts.merging import timeline as merges
        from filiera.identity import leaving

        timeline.register("contacts", merges.read)
        holdings.register()
        leaving.also(holdings.forget_colleague)
        merging.register()
