"""What a person gets when they ask what we hold: everything, for a program and for a reader (GD-25).

The rooms say what they hold (`platform.holdings`). A ZIP with `dati.json`, one CSV for each table that has rows, the
requests as they arrived, and a page to read.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from filiera.contacts import consents, exporting, queries, subject, timeline
from filiera.contacts.models import Contact
from filiera.identity import audit
from filiera.identity.models import AuditEntry, Brand
from filiera.platform import brand_scope, events, holdings
from filiera.platform.holdings import Holding

_MOST_TOLD = 10_000
_OURS = ("brand_id",)  # says nothing to a person


def archive(contact_id: UUID, *, now: datetime, user_id: UUID | None = None) -> bytes:
    """Return the ZIP of a person of the open brand, and leave a record that it was made. Raises ContactMissing."""
    contact = queries.contact_for(contact_id, with_deleted=True)
    person = subject.of(contact)
    found = [(one, _rows(one, person.parameters())) for one in holdings.all_of_them()]
    told = [(one, rows) for one, rows in found if rows]
    brand = Brand.objects.get(id=brand_scope.current())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as files:
        document = {
            "person": str(contact.id),
            "brand": {"name": brand.name},
            "made_at": now.isoformat(),
            "data": {one.table: {"title": _(one.title), "rows": rows} for one, rows in told},
        }
        files.writestr("dati.json", orjson.dumps(document, option=orjson.OPT_INDENT_2))
        for one, rows in told:
            files.writestr(f"csv/{one.table}.csv", _csv(rows))
        for request in {one.table: rows for one, rows in told}.get("capture_submission", []):
            if request.get("body"):
                files.writestr(f"richieste/{request['id']}.txt", str(request["body"]))
        files.writestr("leggimi.html", _page(contact, brand, person.ids, told, now))
    events.record(
        kind="contact.exported",
        subject_id=contact.id,
        at=now,
        data={
            "user_id": str(user_id) if user_id else None,
            "rows": {one.table: len(rows) for one, rows in told},
        },
    )
    audit.record(
        AuditEntry.Action.EXPORT,
        entity_type="contacts",
        entity_id=contact.id,
        detail={one.table: len(rows) for one, rows in told},
    )
    return packed.getvalue()


def _rows(one: Holding, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    shared = f"coalesce({one.shared}, false)" if one.shared else "false"
    with connection.cursor() as cursor:
        cursor.execute(
            f"select to_jsonb(row)::text, {shared} from {one.table} as row where {one.rows}"
            f" order by row.{one.order} limit {_MOST_TOLD}",
            parameters,
        )
        found = cursor.fetchall()
    rows = []
    for text, is_shared in found:
        row = orjson.loads(text)
        for name in (*_OURS, *one.hidden):
            row.pop(name, None)
        for name in one.told if is_shared else ():
            row[name] = _("Contiene anche dati di altre persone.")
        rows.append({name: _readable(value) for name, value in row.items()})
    return rows


def _readable(value: Any) -> Any:
    """Return a value as people read it: bytes come from the database as a text of hexadecimal digits."""
    if isinstance(value, str) and re.fullmatch(r"\\x([0-9a-f]{2})*", value):
        return bytes.fromhex(value[2:]).decode("utf-8", "replace")
    return value


def _csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    out.write("\ufeff")  # spreadsheets then read it as UTF-8
    writer = csv.writer(out, delimiter=";")
    names = list(rows[0])
    writer.writerow(names)
    for row in rows:
        writer.writerow([exporting.cell(row.get(name)) for name in names])
    return out.getvalue()


def _page(
    contact: Contact,
    brand: Brand,
    ids: Iterable[UUID],
    told: list[tuple[Holding, list[dict[str, Any]]]],
    now: datetime,
) -> str:
    return render_to_string(
        "contacts/export.html",
        {
            "contact": contact,
            "brand": brand,
            "now": now,
            "permissions": consents.permissions_of(contact).rows,
            "story": timeline.read(list(ids), limit=_MOST_TOLD),
            "tables": [{"title": _(one.title), "name": one.table, "rows": rows} for one, rows in told],
        },
    )
