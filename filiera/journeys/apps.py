from django.apps import AppConfig


class JourneysConfig(AppConfig):
    name = "filiera.journeys"
    label = "journeys"
