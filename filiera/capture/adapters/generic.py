"""The landing form and any program that posts JSON: names decide, at whatever depth they stand."""

from collections.abc import Iterator, Mapping
from typing import Any

from filiera.capture.adapters.base import Adapter
from filiera.capture.adapters.reading import Answer, LeadFields, known_field, reachable, read_lead
from filiera.capture.documents import Document

_DEEPEST = 5
_MOST_ANSWERS = 10_000


def answers(document: Document) -> Iterator[Answer]:
    """Yield every answer of a document, the shallow ones first, each under its dotted path.

    A nested answer counts by its last name (`field_data.phone_number` is a phone), a shallower one wins over it.
    """
    level: list[tuple[str, Any]] = [("", document)]
    given = 0
    for depth in range(_DEEPEST):
        below: list[tuple[str, Any]] = []
        for prefix, branch in level:
            pairs = (
                branch.items() if isinstance(branch, dict) else ((str(at), v) for at, v in enumerate(branch))
            )
            for name, value in pairs:
                given += 1
                if given > _MOST_ANSWERS:
                    return
                path = f"{prefix}{name}"
                if isinstance(value, dict) or (
                    isinstance(value, list) and any(isinstance(v, dict) for v in value)
                ):
                    below.append((f"{path}.", value))
                else:
                    yield Answer(path, value, "", known_field(name) if depth else "")
        if not below:
            return
        level = below


def read(document: Document, mapping: Mapping[str, str], _retrieved: Mapping[str, Any]) -> list[LeadFields]:
    """Return the one lead of the document. Raises Unmappable without phone and e-mail."""
    lead = read_lead(answers(document), mapping=mapping, document=document if mapping else None)
    return reachable([lead])


LANDING = Adapter(
    name="landing", label="Pagina di richiesta", auth_modes=("public",), read=read, by_names=True
)
WEBHOOK = Adapter(
    name="webhook",
    label="JSON generico",
    auth_modes=("api_key", "path_token", "public"),
    read=read,
    by_names=True,
)


def read_typed(
    document: Document, mapping: Mapping[str, str], _retrieved: Mapping[str, Any]
) -> list[LeadFields]:
    """Return the lead that a person typed in: Nome holds the whole name, divided at its first space."""
    typed = {"Nome": "full_name", "Telefono": "phone", "Provenienza": "source_label", **mapping}
    return reachable([read_lead(answers(document), mapping=typed, split_names=True)])


MANUAL = Adapter(name="manual", label="Scritti a mano", auth_modes=(), read=read_typed)
