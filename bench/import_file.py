"""One import from the file to its end, in a process of its own, as the job does it; prints what it took and made.

`python -m bench.import_file '{"brand_id": …, "rows": 100000, "first": 0}'`: people from number `first` on; each
twentieth row is somebody of the file again, by another spelling.
"""

import io
import resource
import sys
import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import django

django.setup()

import orjson  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench.leads import FIRST_NAMES, LAST_NAMES  # noqa: E402
from filiera.contacts.importing import commands, running  # noqa: E402
from filiera.contacts.importing.commands import Origin  # noqa: E402
from filiera.contacts.models import ImportRun  # noqa: E402
from filiera.platform import actor, brand_scope  # noqa: E402

TITLES = "Nome;Cognome;Telefono;E-mail;Città;CAP;Azienda;Data;Note;Colore\r\n"
ORIGIN = Origin(
    basis="own",
    collected_by="Banco di prova",
    collected_on=date(2025, 3, 1),
    text="Acconsento a ricevere promozioni per telefono e via e-mail",
    proof="nessuno",
)


def lines(first: int, rows: int) -> Iterator[str]:
    """Yield a file: titles, then a line for each person."""
    yield TITLES
    for number in range(first, first + rows):
        again = number % 20 == 19
        who = number - 7 if again else number
        name, surname = FIRST_NAMES[who % len(FIRST_NAMES)], LAST_NAMES[who // 12 % len(LAST_NAMES)]
        phone = f"+39 3{who // 10_000_000 % 100:02d} {who % 10_000_000:07d}" if again else f"3{who:09d}"
        yield (
            f"{name};{surname} {who};{phone};{name.lower()}.{who}@posta.example;Mestre;30170;"
            f"Ditta {who % 5_000} Srl;{1 + who % 28:02d}/{1 + who % 12:02d}/2024;cliente n. {who};blu\r\n"
        )


def main(options: dict[str, Any]) -> dict[str, Any]:
    """Take the file in, try it, bring it in, and take it back if `undo` says so; seconds of each.

    With `goes_on` the last import of the brand is taken up where its process was killed.
    """
    actor.process_is(actor.Actor(actor.MACHINE, "contacts.work_on_import"))
    if options.get("goes_on"):
        return _go_on(options["brand_id"])
    file = io.BytesIO("".join(lines(options["first"], options["rows"])).encode())
    brand_id, took = options["brand_id"], {}
    began = time.monotonic()
    with brand_scope.use(brand_id):
        run = commands.take_file(file, name="banco.csv", user_id=None, now=timezone.now())
        commands.set_origin(run_id=run.id, origin=ORIGIN, now=timezone.now())
    file.close()
    took["upload_s"] = time.monotonic() - began
    steps = [("trial_s", commands.start_check), ("import_s", commands.start)]
    steps += (
        [("undo_s", lambda **known: commands.start_undo(user_id=None, **known))]
        if options.get("undo")
        else []
    )
    for name, verb in steps:
        began = time.monotonic()
        with brand_scope.use(brand_id):
            verb(run_id=run.id, now=timezone.now())
        running.work(run.brand_id, run.id)
        took[name] = time.monotonic() - began
    with brand_scope.use(brand_id):
        run = commands.run_for(run.id)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**took, "peak_mb": peak, "status": run.status, **run.counts, "undone": run.undo_counts}


def _go_on(brand_id: str) -> dict[str, Any]:
    with brand_scope.use(brand_id):
        run = ImportRun.objects.latest("created_at")
    running.work(run.brand_id, run.id)
    return {"status": run.status}


if __name__ == "__main__":
    print(orjson.dumps(main(orjson.loads(sys.argv[1]))).decode())
