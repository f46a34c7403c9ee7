"""What people type about a brand, and how it becomes one."""

from datetime import date
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from filiera.identity.models import Brand
from filiera.journeys.openings import WORKING_WEEK
from filiera.routing import rules
from filiera.routing.forms import HoursField, typed_hours

_NAMELESS = {"required": gettext_lazy("Scrivi come si chiama il marchio.")}


class BrandForm(forms.Form):
    """Name, look, clock and working hours of a brand; a new one has a short name too."""

    name = forms.CharField(max_length=255, error_messages=_NAMELESS)
    slug = forms.CharField(max_length=100, required=False)
    tagline = forms.CharField(max_length=100, required=False)
    accent = forms.ChoiceField(choices=Brand.Accent.choices, required=False)
    timezone = forms.CharField(max_length=50)
    any_hour = forms.BooleanField(required=False)
    mon = HoursField(required=False)
    tue = HoursField(required=False)
    wed = HoursField(required=False)
    thu = HoursField(required=False)
    fri = HoursField(required=False)
    sat = HoursField(required=False)
    sun = HoursField(required=False)

    def __init__(self, data: Any, *, brand: Brand | None = None) -> None:
        week = brand.settings.get("working_hours") if brand else WORKING_WEEK
        initial: dict[str, Any] = {
            "timezone": "Europe/Rome",
            "accent": Brand.Accent.LAGUNA.value,
            "any_hour": week is None,
            **{day: typed_hours((week or {}).get(day) or ()) for day in rules.DAYS},
        }
        if brand is not None:
            initial |= {name: getattr(brand, name) for name in ("name", "tagline", "accent", "timezone")}
        super().__init__(data, initial=initial, auto_id="brand_%s")
        if brand is not None:
            del self.fields["slug"]
        for name, field in self.fields.items():
            kind = {"accent": "form-select", "any_hour": "form-check-input"}.get(name, "form-control")
            field.widget.attrs["class"] = kind
        self.mark_errors()

    def mark_errors(self) -> None:
        """Give the fields that are wrong their look, and their sentence to a screen reader."""
        for name, field in self.fields.items():
            if name in self.errors:
                field.widget.attrs |= {
                    "class": f"{field.widget.attrs['class']} is-invalid",
                    "aria-invalid": "true",
                    "aria-describedby": f"brand_{name}_error",
                }

    def clean_timezone(self) -> str:
        """Return a zone that there is."""
        given: str = self.cleaned_data["timezone"]
        if given not in available_timezones():
            raise forms.ValidationError(_("Questo fuso non c’è. Scrivilo come Europe/Rome."))
        return given

    def days(self) -> list[dict[str, Any]]:
        """Return the seven fields of the week with the names of the days."""
        return [
            {"name": date_format(date(2024, 1, 1 + index), "l").capitalize(), "field": self[day]}
            for index, day in enumerate(rules.DAYS)
        ]

    def changes(self) -> dict[str, Any]:
        """Return what `openings.change_brand` takes."""
        given = self.cleaned_data
        week = {day: given[day] for day in rules.DAYS if given[day]}
        return {
            "name": given["name"],
            "tagline": given["tagline"],
            "accent": given["accent"] or Brand.Accent.LAGUNA.value,
            "timezone": given["timezone"],
            "working_hours": None if given["any_hour"] else week,
        }
