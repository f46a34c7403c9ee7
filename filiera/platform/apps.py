from django.apps import AppConfig


class PlatformConfig(AppConfig):
    name = "filiera.platform"
    label = "platform"
