"""What this room holds about a person."""

from django.utils.translation import gettext_noop as _

from filiera.platform import holdings
from filiera.platform.holdings import Holding


def register() -> None:
    """Say what is here, and what is about nobody."""
    holdings.register(
        Holding(
            "workspace_bulkrow",
            _("Operazioni su molti lead"),
            "row.contact_id = any(%(people)s::uuid[])",
            plain=("outcome", "why", "before", "after"),
        ),
        Holding(
            "workspace_savedview",
            _("Viste salvate che ne contengono un dato"),
            "replace(row.query, '+', ' ') ~* %(pattern)s or row.name ~* %(pattern)s",
            is_removed=True,
            plain=("audience", "role"),
            hidden=("role",),
        ),
    )
    holdings.about_nobody(
        workspace_bulkrun="what was done to many leads, without a word about one",
        workspace_listchoice="which columns a colleague looks at",
    )
