"""CON-32, Q-7: an import whose process is killed twice midway ends exactly as one that nobody disturbed."""

import os
import signal
import time
from typing import Any

import psycopg

from bench.house import House, machine, say
from faults.verdict import Verdict

KILLED_AT = (0.3, 0.7)
"""How much of the file has come in when the process is killed."""
LIMIT_S = 600.0
_DIGESTS = {
    "people": "select first_name, last_name, email, city, cap, company_name, notes, status, lead_count, last_lead_at"
    " from contacts_contact",
    "numbers": "select c.email, p.phone_raw, p.phone_e164, p.is_primary, p.is_match_key, p.is_valid"
    " from contacts_contactphone p join contacts_contact c on c.id = p.contact_id",
    "permissions": "select c.email, o.purpose, o.channel, o.given, o.by_person, o.text, o.collected_by, o.at"
    " from contacts_consent o join contacts_contact c on c.id = o.contact_id",
    "what was done": "select c.email, i.row_number, i.was_created, i.before, i.after, i.numbers"
    " from contacts_importedcontact i join contacts_contact c on c.id = i.contact_id",
    "faults": "select row_number, field, code, told, cells, is_grave from contacts_importfault",
    "figures": "select status, cursor, rows_total, counts from contacts_importrun",
    "pieces": "select number from contacts_importpiece",
}


def run(rows: int = 100_000) -> Verdict:
    """Bring the same file in twice, once with two kills, and compare every table by digest."""
    verdict = Verdict("import", f"an import of {rows:,} rows, killed twice and unbroken")
    with machine(contacts=rows) as ground:
        unbroken, killed = ground.house(), ground.house()
        options = [
            {"brand_id": house.furnish()["brand_id"], "rows": rows, "first": 0}
            for house in (unbroken, killed)
        ]
        unbroken.run("-m", "bench.import_file", unbroken.json(options[0]))
        say("unbroken: done")
        kills = _with_kills(killed, options[1], rows)
        expected, found = _digests(unbroken), _digests(killed)
    for name, digest in expected.items():
        verdict.check(
            f"{name} as in the unbroken one", digest == found[name], expected=digest, found=found[name]
        )
    verdict.check("two kills while rows were coming in", len(kills) == len(KILLED_AT), at=kills)
    verdict.facts |= {"rows": rows, "killed_at": kills}
    return verdict


def _with_kills(house: House, options: dict[str, Any], rows: int) -> list[int]:
    """Start the import, kill its process where KILLED_AT says, go on each time, and return at how many rows it was."""
    kills = []
    for share in KILLED_AT:
        process = house.start("import", "-m", "bench.import_file", house.json(options))
        ends_at = time.monotonic() + LIMIT_S
        while process.poll() is None and time.monotonic() < ends_at:
            if (
                done := house.count(
                    "select coalesce(max(cursor), 0) from contacts_importrun where status = 'running'"
                )
            ) > (share * rows):
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                kills.append(done)
                say(f"killed at row {done:,}")
                break
            time.sleep(0.02)
        options = {"brand_id": options["brand_id"], "goes_on": True}
    house.run("-m", "bench.import_file", house.json(options))
    return kills


def _digests(house: House) -> dict[str, str]:
    with psycopg.connect(house.urls.platform) as connection:
        return {
            name: str(
                connection.execute(
                    f"select count(*), md5(string_agg(line, '|' order by line)) from"  # type: ignore[arg-type]
                    f" (select row_to_json(every)::text as line from ({query}) every) lines"
                ).fetchone()
            )
            for name, query in _DIGESTS.items()
        }
