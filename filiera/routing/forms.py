"""What people type about an agent, and how it becomes the columns of one."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from django import forms
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _

from filiera.identity.models import User, UserRole
from filiera.routing import rules
from filiera.routing.models import Agent

_OPENING = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?\s*[-–]\s*(\d{1,2})(?:[:.](\d{2}))?")


class HoursField(forms.CharField):
    """A day's openings as typed: `9-13, 14:00-18:30`. Cleans to [["09:00", "13:00"], ["14:00", "18:30"]]."""

    def clean(self, value: Any) -> Any:
        """Return the openings in order. Raises ValidationError with what to write."""
        text = super().clean(value).strip()
        if not text:
            return []
        openings = []
        for part in re.split(r"[,;]", text):
            match = _OPENING.fullmatch(part.strip())
            if match is None:
                raise forms.ValidationError(_("Scrivi gli orari così: 9:00-13:00, 14:00-18:00."))
            from_h, from_m, to_h, to_m = match.groups()
            openings.append([f"{int(from_h):02}:{from_m or '00'}", f"{int(to_h):02}:{to_m or '00'}"])
        try:
            rules.read_hours({"mon": openings})
        except ValueError as error:
            raise forms.ValidationError(
                _("Questi orari si accavallano o finiscono prima di iniziare.")
            ) from error
        return sorted(openings)


class AgentForm(forms.Form):
    """How much, when and what an agent receives, and which person of the workspace they are."""

    weight = forms.IntegerField(min_value=1, max_value=rules.MAX_WEIGHT)
    max_concurrent_calls = forms.IntegerField(min_value=1, max_value=20)
    sort_order = forms.IntegerField(min_value=0, max_value=9999)
    skills = forms.CharField(required=False, max_length=500)
    any_hour = forms.BooleanField(required=False)
    mon = HoursField(required=False)
    tue = HoursField(required=False)
    wed = HoursField(required=False)
    thu = HoursField(required=False)
    fri = HoursField(required=False)
    sat = HoursField(required=False)
    sun = HoursField(required=False)
    on_leave_until = forms.DateField(
        required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    user = forms.ChoiceField(required=False)

    def __init__(self, data: Any, *, agent: Agent) -> None:
        schedule = agent.schedule or {}
        initial = {
            "weight": agent.weight,
            "max_concurrent_calls": agent.max_concurrent_calls,
            "sort_order": agent.sort_order,
            "skills": ", ".join(agent.skills),
            "any_hour": agent.schedule is None,
            "on_leave_until": agent.on_leave_until,
            "user": str(agent.user_id or ""),
            **{day: typed_hours(schedule.get(day) or ()) for day in rules.DAYS},
        }
        super().__init__(data, initial=initial)
        people = User.objects.filter(id__in=UserRole.objects.values("user"), is_active=True).order_by("name")
        choices = [("", _("nessuna")), *((str(user.id), user.name) for user in people)]
        self.fields["user"].choices = choices  # type: ignore[attr-defined]
        for name, field in self.fields.items():
            kind = {"user": "form-select", "any_hour": "form-check-input"}.get(name, "form-control")
            field.widget.attrs["class"] = kind
            if name in self.errors:
                field.widget.attrs |= {
                    "class": f"{kind} is-invalid",
                    "aria-invalid": "true",
                    "aria-describedby": f"id_{name}_error",
                }

    def days(self) -> list[dict[str, Any]]:
        """Return the seven fields of the week with the names of the days."""
        return [
            {"name": date_format(date(2024, 1, 1 + index), "l").capitalize(), "field": self[day]}
            for index, day in enumerate(rules.DAYS)
        ]

    def changes(self) -> dict[str, Any]:
        """Return what `commands.update_agent` takes."""
        given = self.cleaned_data
        return {
            "weight": given["weight"],
            "max_concurrent_calls": given["max_concurrent_calls"],
            "sort_order": given["sort_order"],
            "skills": [skill.strip().lower() for skill in given["skills"].split(",") if skill.strip()],
            "schedule": None if given["any_hour"] else {day: given[day] for day in rules.DAYS if given[day]},
            "on_leave_until": given["on_leave_until"],
            "user_id": UUID(given["user"]) if given["user"] else None,
        }


def typed_hours(openings: Iterable[Sequence[str]]) -> str:
    """Return openings as one types them: `9-13, 14:30-18`."""
    return ", ".join("-".join(_short(hour) for hour in opening) for opening in openings)


def _short(hour: str) -> str:
    hours, _colon, minutes = hour.partition(":")
    return str(int(hours)) if minutes == "00" else f"{int(hours)}:{minutes}"
