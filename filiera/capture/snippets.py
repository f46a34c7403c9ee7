"""What to paste at the sender's: the address of a source, and examples that work as they are."""

import json
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from filiera.capture.models import Source

KEY = "$CHIAVE"
"""What stands in an example for the key, which nobody can show any more."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """One thing to paste."""

    title: str
    code: str


def address(source: Source, key: str = "") -> str:
    """Return where this source receives. A token in the path is shown only with the key just made."""
    if source.kind == "landing":
        return f"{settings.BASE_URL}/api/lead"
    base = f"{settings.BASE_URL}/webhook-ingest/{source.name}"
    return f"{base}/{key or KEY}" if source.auth_mode == Source.AuthMode.PATH_TOKEN else base


def hint(source: Source) -> str:
    """Return how this sender proves who it is, in a sentence."""
    return {
        Source.AuthMode.API_KEY: _("La chiave va nell’intestazione X-API-Key."),
        Source.AuthMode.PATH_TOKEN: _(
            "La chiave sta in fondo all’indirizzo: chi lo conosce può scrivere qui."
        ),
        Source.AuthMode.BODY_KEY: _("La chiave va scritta nel campo “chiave” del modulo di chi invia."),
        Source.AuthMode.SIGNATURE: _("Ogni richiesta è firmata con il segreto di chi invia."),
        Source.AuthMode.PUBLIC: _(
            "Scrive chiunque apra il modulo, dai siti permessi e con il limite al minuto."
        ),
    }[Source.AuthMode(source.auth_mode)]


def of(source: Source) -> list[Snippet]:
    """Return the examples that fit how this source receives."""
    if source.auth_mode == Source.AuthMode.PUBLIC or source.kind == "landing":
        return [Snippet(_("Pagina web"), _web_page(source))]
    if source.kind not in {"webhook", "ghl"}:
        return []
    return [Snippet("curl", _curl(source)), Snippet("PHP", _php(source))]


def _example() -> dict[str, str]:
    return {
        "nome": "Onorina",
        "cognome": "Baggio",
        "telefono": "+39 351 000 3321",
        "email": "onorina@posta.example",
    }


def _curl(source: Source) -> str:
    key = "" if source.auth_mode == Source.AuthMode.PATH_TOKEN else f' \\\n  -H "X-API-Key: {KEY}"'
    body = json.dumps(_example(), ensure_ascii=False)
    return f"curl {address(source)}{key} \\\n  -H \"Content-Type: application/json\" \\\n  -d '{body}'"


def _php(source: Source) -> str:
    headers = ["'Content-Type: application/json'"]
    if source.auth_mode != Source.AuthMode.PATH_TOKEN:
        headers.append("'X-API-Key: ' . getenv('CHIAVE')")
    fields = ", ".join(f"'{name}' => $_POST['{name}']" for name in _example())
    where = address(source).replace(KEY, "' . getenv('CHIAVE') . '")
    return "\n".join(
        (
            f"$invio = curl_init('{where}');",
            "curl_setopt_array($invio, [",
            "  CURLOPT_POST => true,",
            "  CURLOPT_RETURNTRANSFER => true,",
            f"  CURLOPT_HTTPHEADER => [{', '.join(headers)}],",
            f"  CURLOPT_POSTFIELDS => json_encode([{fields}]),",
            "]);",
            "curl_exec($invio);",
        )
    )


def _web_page(source: Source) -> str:
    return "\n".join(
        (
            f'<script src="{settings.BASE_URL}/static/built/filiera-forms.min.js" defer',
            f'        data-endpoint="{settings.BASE_URL}/api/lead" data-source="{source.name}"',
            '        data-form="#modulo"></script>',
        )
    )
