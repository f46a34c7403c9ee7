from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from filiera.workspace import (
    pages,
    pages_bulk,
    pages_deeds,
    pages_fields,
    pages_leads,
    pages_rights,
    pages_search,
    pages_today,
    pages_why,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", pages.home, name="home"),
    path("dashboard", pages.home, name="dashboard"),
    path(
        "marketing/sources", RedirectView.as_view(pattern_name="sources")
    ),  # the name the definition gives it
    path("oggi", pages_today.today, name="today"),
    path("cerca", pages_search.search, name="search"),
    path("brands/select", pages.select_brand, name="brand-select"),
    path("me/preferences", pages.save_preferences, name="preferences"),
    path("me/availability", pages.switch_availability, name="availability"),
    path("leads", pages_leads.lead_index, name="lead-list"),
    path("leads/quanti", pages_leads.count_list, name="lead-count"),
    path("leads/esporta", pages_leads.export_list, name="lead-list-export"),
    path("", include("filiera.workspace.pages_merge")),
    path("", include("filiera.workspace.pages_duplicates")),
    path("leads/new", pages_leads.new, name="lead-new"),
    path("leads/new/number", pages_fields.check_number, name="lead-number-check"),
    path("leads/assign", pages_bulk.begin, name="lead-assign"),
    path("", include("filiera.workspace.pages_bulk")),
    path("", include("filiera.workspace.pages_views")),
    path("leads/<uuid:contact_id>", pages_leads.record, name="lead"),
    path("", include("filiera.workspace.pages_peek")),
    path("", include("filiera.workspace.pages_relatives")),
    path("leads/<uuid:contact_id>/looking", pages_leads.looking, name="lead-looking"),
    path("leads/<uuid:contact_id>/why", pages_why.why, name="lead-why"),
    path("leads/<uuid:contact_id>/phone", pages_fields.cell, name="lead-phone"),
    path("leads/<uuid:contact_id>/cells/<slug:name>", pages_fields.cell, name="lead-cell"),
    path("leads/<uuid:contact_id>/fields/<slug:name>", pages_fields.field, name="lead-field"),
    path(
        "leads/<uuid:contact_id>/fields/<slug:name>/check", pages_fields.check_field, name="lead-field-check"
    ),
    path("leads/<uuid:contact_id>/activities", pages_deeds.record_activity, name="lead-activity"),
    path("leads/<uuid:contact_id>/move", pages_deeds.move, name="lead-move"),
    path("leads/<uuid:contact_id>/reopen", pages_deeds.reopen, name="lead-reopen"),
    path("leads/<uuid:contact_id>/call", pages_deeds.call, name="lead-call"),
    path("leads/<uuid:contact_id>/privacy", pages_rights.privacy, name="lead-privacy"),
    path("leads/<uuid:contact_id>/consents", pages_rights.record_consent, name="lead-consent"),
    path("leads/<uuid:contact_id>/withdraw", pages_rights.withdraw_consent, name="lead-withdraw"),
    path("leads/<uuid:contact_id>/evidence", pages_rights.evidence, name="lead-evidence"),
    path("leads/<uuid:contact_id>/restrict", pages_rights.restrict, name="lead-restrict"),
    path("leads/<uuid:contact_id>/lift", pages_rights.lift_restriction, name="lead-lift"),
    path("leads/<uuid:contact_id>/data", pages_rights.export, name="lead-export"),
    path("leads/<uuid:contact_id>/erase", pages_rights.erase, name="lead-erase"),
    path("leads/<uuid:contact_id>/oppose", pages_rights.oppose, name="lead-oppose"),
    path("leads/<uuid:contact_id>/delete", pages_deeds.delete, name="lead-delete"),
    path("leads/<uuid:contact_id>/restore", pages_deeds.restore, name="lead-restore"),
    path(
        "leads/<uuid:contact_id>/duplicates/<uuid:suggestion_id>/dismiss",
        pages_deeds.not_duplicate,
        name="lead-not-duplicate",
    ),
    path("activities/<uuid:activity_id>/finish", pages_deeds.finish_activity, name="activity-done"),
    path("", include("filiera.workspace.pages_quick_add")),
    path("", include("filiera.workspace.pages_tags")),
    path("", include("filiera.workspace.pages_privacy")),
    path("", include("filiera.workspace.pages_system")),
    path("", include("filiera.workspace.pages_brands")),
]
