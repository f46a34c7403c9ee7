from django.apps import AppConfig


class WorkspaceConfig(AppConfig):
    name = "filiera.workspace"
    label = "workspace"
