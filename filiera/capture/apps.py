from django.apps import AppConfig


class CaptureConfig(AppConfig):
    name = "filiera.capture"
    label = "capture"
