from django.apps import AppConfig


class WorkspaceConfig(AppConfig):
    name = "filiera.workspace"
    label = "workspace"

    def ready(self) -> None:
        """Add to the pages of earlier rooms what only this one can know."""
        from filiera.workspace import hooks

        hooks.register()
