from django.apps import AppConfig


class ContactsConfig(AppConfig):
    name = "filiera.contacts"
    label = "contacts"
