"""Roles and permissions in words, in the order in which people think of them."""

from django.utils.translation import gettext as _

from filiera.identity.models import Role
from filiera.identity.permissions import EVERYTHING


def of_roles() -> dict[str, str]:
    """Return what each role is for, in one line."""
    return {
        Role.SUPER_ADMIN: _("tutto, in tutti i marchi"),
        Role.ADMIN: _("tutto, in questo marchio"),
        Role.SALES: _("lead, trattative, attività e chiamate"),
        Role.SUPPORT: _("richieste di assistenza e contatti"),
        Role.EDITOR: _("pagine e articoli"),
        Role.CUSTOMER: _("ordini e richieste propri"),
        Role.GUEST: _("catalogo e articoli"),
    }


def of_permissions() -> dict[str, str]:
    """Return what each permission lets one do."""
    return {
        EVERYTHING: _("tutto, anche ciò che verrà"),
        "create_lead": _("creare lead"),
        "view_contacts": _("leggere lead e contatti"),
        "edit_contacts": _("modificare contatti"),
        "manage_deals": _("muovere trattative"),
        "manage_activities": _("scrivere attività"),
        "manage_appointments": _("fissare appuntamenti"),
        "view_routing": _("leggere chiamate e cifre"),
        "manage_routing": _("gestire agenti e chiamate"),
        "manage_intake": _("gestire fonti e ingressi"),
        "manage_pipeline": _("cambiare gli stati della bacheca"),
        "manage_newsletter": _("gestire la newsletter"),
        "manage_tickets": _("rispondere alle richieste di assistenza"),
        "create_order": _("creare ordini"),
        "manage_orders": _("gestire gli ordini"),
        "manage_products": _("gestire il catalogo"),
        "create_blog_post": _("scrivere articoli"),
        "edit_blog_post": _("modificare articoli"),
        "publish_blog_post": _("pubblicare articoli"),
        "manage_pages": _("gestire le pagine"),
        "manage_users": _("gestire utenti e ruoli"),
        "view_analytics": _("leggere le analisi"),
        "system_settings": _("cambiare le impostazioni"),
        "manage_brands": _("aprire marchi"),
        "view_all_brands": _("guardare tutti i marchi insieme"),
        "view_own_orders": _("leggere i propri ordini"),
        "create_ticket": _("chiedere assistenza"),
        "view_own_tickets": _("leggere le proprie richieste"),
        "update_profile": _("cambiare il proprio profilo"),
        "view_products": _("leggere il catalogo"),
        "view_blog": _("leggere gli articoli"),
    }
