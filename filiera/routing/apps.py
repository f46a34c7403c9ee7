from django.apps import AppConfig


class RoutingConfig(AppConfig):
    name = "filiera.routing"
    label = "routing"
