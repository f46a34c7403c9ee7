"""The one kind of no that is told to a person."""

from uuid import UUID


class Refused(Exception):
    """Say no in words that a person can act on. Subclasses set `code` and, for HTTP, `status`.

    `details` names the fields at fault, each with its sentences (PLT-35).
    """

    code = "CONFLICT"
    status = 409

    def __init__(self, message: str, *, details: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


class Invalid(Refused):
    """Input that cannot be taken as it is."""

    code = "VALIDATION_ERROR"
    status = 400


class Missing(Refused):
    """The row is not there, or is another brand's: the two look the same (Q-31)."""

    code = "NOT_FOUND"
    status = 404


class Moved(Missing):
    """The row lives on as another one; what has the old id in its address leads there for ever."""

    code = "MERGED"
    was: UUID
    now_is: UUID

    def address(self, path: str) -> str:
        """Return an address of the old row as one of the new row."""
        return path.replace(str(self.was), str(self.now_is))


class Forbidden(Refused):
    """The person is known and may not do this."""

    code = "FORBIDDEN"
    status = 403
