"""Another master key for the vault, while everything goes on working.

The next version is made and becomes the one to seal with; what is sealed with earlier ones stays readable and is
encrypted anew in small batches. A run that was broken off is taken up again by the next one.
"""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import models
from django.utils.translation import gettext as _

from filiera.identity import master_keys, vault
from filiera.identity.models import Brand, VaultKey, VaultVersion
from filiera.platform import brand_scope
from filiera.platform.models import BrandRow
from filiera.platform.refusals import Refused

BATCH = 200


class NextKeyMissing(Refused):
    """This installation is given its master keys, and the next one was not."""

    code = "NEXT_KEY_MISSING"


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column that holds what `vault.seal` made, with a row's context; of a JSON column its `member`, in base 64."""

    model: type[models.Model]
    column: str
    context: Callable[[Any], str]
    member: str = ""

    def sealed_in(self, row: Any) -> bytes:
        """Return what a row holds, empty for nothing."""
        value = getattr(row, self.column)
        return b64decode(value.get(self.member, "")) if self.member else bytes(value or b"")

    def with_sealed(self, row: Any, sealed: bytes) -> Any:
        """Return the column's value with something else sealed in it."""
        return (
            getattr(row, self.column) | {self.member: b64encode(sealed).decode()} if self.member else sealed
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rotation is: what was encrypted anew, and what did not open with any key we have."""

    version: int
    renewed: int
    locked: int


_columns: list[SealedColumn] = []


def covers(
    model: type[models.Model], column: str, *, context: Callable[[Any], str], member: str = ""
) -> None:
    """Let rotations take a column along, or one member of a JSON column. Rooms call it when they start."""
    _columns.append(SealedColumn(model, column, context, member))


def rotate(*, now: datetime) -> Iterator[Progress]:
    """Make the next master key the current one, or take up a rotation that was broken off; yield after each batch.

    Raises NextKeyMissing before anything has changed.
    """
    newest = VaultVersion.objects.order_by("-version").first()
    version = newest.version if newest and newest.finished_at is None else _begin(now)
    renewed = locked = 0
    for batch in _batches(version):
        renewed, locked = renewed + batch[0], locked + batch[1]
        yield Progress(version, renewed, locked)
    if not locked:
        VaultVersion.objects.filter(version=version).update(finished_at=now)
    yield Progress(version, renewed, locked)


def _begin(now: datetime) -> int:
    current = vault.current_version()
    name = master_keys.name_of(current + 1)
    if master_keys.comes_from_environment(current) and not master_keys.comes_from_environment(current + 1):
        raise NextKeyMissing(
            _(
                "Questa installazione riceve le chiavi dall’ambiente. Imposta %(name)s su ogni macchina, riavvia e"
                " riprova. Una chiave nuova, se serve: %(key)s"
            )
            % {"name": name, "key": secrets.token_urlsafe(32)}
        )
    master_keys.make(current + 1)
    return vault.next_version(now=now)


def _batches(version: int) -> Iterator[tuple[int, int]]:
    """Yield how many rows each batch renewed, and how many it could not open."""
    brands = list(Brand.objects.order_by("id").values_list("id", flat=True))
    for brand_id in brands:
        yield from _walk(brand_id, VaultKey, partial(_renew_key, version))
    for one in _columns:
        scopes: list[UUID | None] = [*brands] if issubclass(one.model, BrandRow) else [None]
        for scope in scopes:
            yield from _walk(scope, one.model, partial(_renew_column, version, one))


def _walk(
    brand_id: UUID | None, model: type[models.Model], renew: Callable[[Any], bool]
) -> Iterator[tuple[int, int]]:
    last: Any = None
    while True:
        renewed = locked = 0
        with brand_scope.use(brand_id):
            rest = model._default_manager.select_for_update(of=("self",), no_key=True).order_by("pk")
            rows = list((rest if last is None else rest.filter(pk__gt=last))[:BATCH])
            for row in rows:
                try:
                    renewed += renew(row)
                except vault.VaultLocked:
                    locked += 1
        if not rows:
            return
        last = rows[-1].pk
        yield renewed, locked


def _renew_key(version: int, key: VaultKey) -> bool:
    if key.key_version >= version:
        return False
    context = vault.context_of(key.brand_id, key.id)
    secret = vault.decrypt(key.key_version, key.nonce, key.ciphertext, context=context)
    key.key_version = version
    key.nonce, key.ciphertext = vault.encrypt(version, secret, context)
    key.save(update_fields=["key_version", "nonce", "ciphertext"])
    return True


def _renew_column(version: int, one: SealedColumn, row: Any) -> bool:
    sealed = one.sealed_in(row)
    if not sealed:
        return False
    renewed = vault.reseal(sealed, context=one.context(row), version=version)
    if renewed is None:
        return False
    type(row)._default_manager.filter(pk=row.pk).update(**{one.column: one.with_sealed(row, renewed)})
    return True
