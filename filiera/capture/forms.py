"""What people type about a source, and how it becomes the arguments of a command."""

import re
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from filiera.capture import trial
from filiera.capture.adapters import ADAPTERS
from filiera.capture.models import MarketingSource, Source
from filiera.platform.refusals import Refused

REQUIRABLE = (
    "first_name",
    "last_name",
    "phone",
    "email",
    "city",
    "cap",
    "company",
    "service_code",
    "package_code",
    "age",
)

_OWN_NAMES = {
    "manual": gettext_lazy("Scritti a mano"),
    "import": gettext_lazy("Importazione"),
    "landing": gettext_lazy("Pagina di richiesta"),
    "webhook": gettext_lazy("JSON generico"),
}
_HINTS = {
    "landing": gettext_lazy("La pagina con il nostro modulo, o il modulo del tuo sito con il nostro script"),
    "webhook": gettext_lazy("Qualsiasi programma che sappia mandare JSON"),
    "ghl": gettext_lazy("Contatti nuovi e flussi di lavoro"),
    "meta": gettext_lazy("Moduli di Facebook e Instagram"),
    "google_ads": gettext_lazy("Moduli degli annunci di Google"),
    "tiktok": gettext_lazy("Moduli degli annunci di TikTok"),
    "typeform": gettext_lazy("Moduli di Typeform"),
    "tally": gettext_lazy("Moduli di Tally"),
    "contact_form_7": gettext_lazy("WordPress, con il componente CF7 to Webhook"),
    "elementor": gettext_lazy("WordPress, moduli di Elementor Pro"),
    "gravity_forms": gettext_lazy("WordPress, con il componente Webhooks"),
}


def name_of(kind: str) -> str:
    """Return what a person calls a kind of source; products keep the name that their makers gave them."""
    if kind in _OWN_NAMES:
        return str(_OWN_NAMES[kind])
    return ADAPTERS[kind].label if kind in ADAPTERS else kind


def kinds() -> list[dict[str, Any]]:
    """Return the kinds of source a person can choose, with what each is for."""
    return [{"name": name, "label": name_of(name), "hint": _HINTS.get(name, "")} for name in ADAPTERS]


class SourceFields(forms.Form):
    """What a new source and a changed one have in common."""

    auth_mode = forms.ChoiceField(required=False)
    rate_limit_per_min = forms.IntegerField(min_value=1, max_value=100_000, initial=60)
    marketing_source = forms.ModelChoiceField(
        queryset=MarketingSource.objects.none(), required=False, empty_label=gettext_lazy("nessuna")
    )
    signing_secret = forms.CharField(required=False, max_length=500, widget=forms.PasswordInput)
    access_token = forms.CharField(required=False, max_length=1000, widget=forms.PasswordInput)
    required_fields = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    auto_call = forms.BooleanField(required=False, initial=True)
    allowed_origins = forms.CharField(
        required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["marketing_source"].queryset = MarketingSource.objects.filter(is_active=True).order_by("name")
        fields["required_fields"].choices = [(name, str(trial.FIELDS[name])) for name in REQUIRABLE]
        modes = [(mode.value, str(mode.label)) for mode in Source.AuthMode]
        fields["auth_mode"].choices = [("", _("La migliore per chi invia")), *modes]
        looks = {
            "auth_mode": "form-select",
            "marketing_source": "form-select",
            "auto_call": "form-check-input",
        }
        for name, field in fields.items():
            field.widget.attrs["class"] = (
                "form-check-input" if name == "required_fields" else looks.get(name, "form-control")
            )
            field.widget.attrs.setdefault("autocomplete", "off")

    def full_clean(self) -> None:
        """Check everything, and mark the fields at fault for who sees and for who listens."""
        super().full_clean()
        for name in self.errors:
            if name in self.fields:
                attributes = self.fields[name].widget.attrs
                attributes["class"] = f"{attributes.get('class', '')} is-invalid"
                attributes |= {"aria-invalid": "true", "aria-describedby": f"id_{name}_error"}

    def clean_allowed_origins(self) -> list[str]:
        """Return the origins, one per line. Raises ValidationError for what is no web address."""
        origins = []
        for line in re.split(r"[\s,]+", self.cleaned_data["allowed_origins"].strip()):
            if not line:
                continue
            parts = urlsplit(line if "://" in line else f"https://{line}")
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise forms.ValidationError(_("%(line)s non è l’indirizzo di un sito.") % {"line": line})
            origins.append(f"{parts.scheme}://{parts.netloc}".lower())
        return origins

    def kind_of_source(self) -> str:
        """Return the kind whose proofs are allowed."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        """Check that this sender can give this proof."""
        given: dict[str, Any] = super().clean() or {}
        adapter = ADAPTERS.get(self.kind_of_source())
        mode = given.get("auth_mode", "")
        if adapter and mode and mode not in adapter.auth_modes:
            can = ", ".join(str(Source.AuthMode(each).label).lower() for each in adapter.auth_modes)
            self.add_error(
                "auth_mode",
                _("%(kind)s non lo sa fare. Può: %(can)s.") % {"kind": name_of(adapter.name), "can": can},
            )
        return given

    def fields_of_source(self) -> dict[str, Any]:
        """Return what the commands take. An empty secret means: the one there is stays."""
        given = self.cleaned_data
        source = given["marketing_source"]
        fields = {
            "rate_limit_per_min": given["rate_limit_per_min"],
            "required_fields": given["required_fields"],
            "allowed_origins": given["allowed_origins"],
            "marketing_source_id": source.id if source else None,
            "auto_call": given["auto_call"],
        }
        if given["auth_mode"]:
            fields["auth_mode"] = given["auth_mode"]
        for secret in ("signing_secret", "access_token"):
            if given[secret]:
                fields[secret] = given[secret]
        return fields


class NewSource(SourceFields):
    """A source that is not there yet."""

    kind = forms.ChoiceField(initial="webhook")
    name = forms.CharField(
        max_length=100,
        validators=[
            RegexValidator(
                r"\A[a-z0-9]+(?:-[a-z0-9]+)*\Z", gettext_lazy("Solo lettere minuscole, cifre e trattini.")
            )
        ],
    )
    field_order = ("kind", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [(name, name) for name in ADAPTERS]  # type: ignore[attr-defined]
        self.fields["name"].widget.attrs |= {"spellcheck": "false", "autofocus": True}

    def kind_of_source(self) -> str:
        """Return the kind that was chosen."""
        return str(self.cleaned_data.get("kind", ""))

    def fields_of_source(self) -> dict[str, Any]:
        """Return what `create_source` takes."""
        return {
            "kind": self.cleaned_data["kind"],
            "name": self.cleaned_data["name"],
            **super().fields_of_source(),
        }


class ChangeSource(SourceFields):
    """A source that is there: its name and kind stay, for they stand in addresses that others use."""

    name = None

    def __init__(self, data: Any, *, source: Source) -> None:
        self.source = source
        initial = {
            "auth_mode": source.auth_mode,
            "rate_limit_per_min": source.rate_limit_per_min,
            "marketing_source": source.marketing_source_id,
            "required_fields": source.required_fields,
            "auto_call": source.auto_call,
            "allowed_origins": "\n".join(source.allowed_origins),
        }
        super().__init__(data, initial=initial)

    def kind_of_source(self) -> str:
        """Return the kind the source has."""
        return self.source.kind


def tell(form: forms.Form, refusal: Refused) -> None:
    """Put a command's refusal beside the fields it names, or on top of the form."""
    placed = False
    for name, sentences in refusal.details.items():
        if name in form.fields:
            for sentence in sentences:
                form.add_error(name, sentence)
            placed = True
    if not placed:
        form.add_error("name" if "name" in form.fields and refusal.code == "CONFLICT" else None, str(refusal))
