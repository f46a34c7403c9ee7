"""What people type about a brand, and how it becomes one."""

from collections.abc import Callable
from datetime import date
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from filiera.identity.models import Brand
from filiera.journeys.openings import WORKING_WEEK
from filiera.platform.refusals import Invalid
from filiera.routing import calendar, rules
from filiera.routing.calendar import Calendar
from filiera.routing.forms import HoursField, typed_hours

MOST_CLOSED = 6
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
    patron_day = forms.CharField(max_length=5, required=False)
    closed = forms.CharField(max_length=10_000, required=False, widget=forms.Textarea(attrs={"rows": 4}))

    def __init__(self, data: Any, *, brand: Brand | None = None) -> None:
        week = brand.settings.get("working_hours") if brand else WORKING_WEEK
        initial: dict[str, Any] = {
            "timezone": "Europe/Rome",
            "accent": Brand.Accent.LAGUNA.value,
            "any_hour": week is None,
            **{day: typed_hours((week or {}).get(day) or ()) for day in rules.DAYS},
        }
        known = Calendar.of(brand.settings if brand else {})
        initial |= {"closed": calendar.typed(known.closures)}
        if known.patron_day:
            month, day_of_month = known.patron_day
            initial["patron_day"] = f"{day_of_month:02}/{month:02}"
        if brand is not None:
            initial |= {name: getattr(brand, name) for name in ("name", "tagline", "accent", "timezone")}
        self.next_closed = known.next_closed(timezone.localdate(), most=MOST_CLOSED)
        super().__init__(data, initial=initial, auto_id="brand_%s")
        if brand is not None:
            del self.fields["slug"]
        self.fields["closed"].widget.attrs["placeholder"] = _("24/12 Vigilia\n10/08/2027-21/08/2027 Ferie")
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

    def clean_patron_day(self) -> Any:
        """Return the patron's day as MM-DD."""
        return _read(calendar.read_patron, self.cleaned_data["patron_day"])

    def clean_closed(self) -> Any:
        """Return the brand's own closures."""
        return _read(calendar.read_closures, self.cleaned_data["closed"])

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
            "holidays": {"patron_day": given["patron_day"], "closed": given["closed"]},
        }


def _read(read: Callable[[str], Any], typed: str) -> Any:
    try:
        return read(typed)
    except Invalid as refusal:
        raise forms.ValidationError(str(refusal)) from refusal
