from django.apps import AppConfig


class PipelineConfig(AppConfig):
    name = "filiera.pipeline"
    label = "pipeline"
