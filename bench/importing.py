"""Q-7: how long a file of a hundred thousand people takes, matched with who is known, and how much memory."""

from bench.figures import Figure, verify
from bench.house import Machine, say

ROWS = 100_000
KNOWN = 20_000
IMPORTED = (
    "select count(*) from contacts_contact c"
    " join contacts_contactphone p on p.contact_id = c.id and p.is_primary"
)


def q7(machine: Machine, seconds: float) -> list[Figure]:
    """Bring in a file of which a fifth is known and a twentieth comes twice: upload, trial over all of it, import."""
    rows = min(ROWS, machine.contacts)
    known = min(KNOWN, rows // 5)
    house = machine.house()
    facts = house.furnish()
    house.run(
        "-m", "bench.import_file", house.json({"brand_id": facts["brand_id"], "rows": known, "first": 0})
    )
    done = house.run(
        "-m", "bench.import_file", house.json({"brand_id": facts["brand_id"], "rows": rows, "first": 0})
    )
    say(f"Q-7 {done}")
    verified = verify(house.count(IMPORTED), rows - rows // 20, "people with their number")
    what = f"import of {rows:,} rows of CSV, a fifth of them known"
    return [
        Figure("Q-7", what, done["upload_s"] + done["import_s"], "s", "≤ 120", verified),
        Figure(
            "Q-7", f"{what}: the trial before it, over all of it", done["trial_s"], "s", "≤ 120", verified
        ),
        Figure("Q-7", f"{what}: memory at its peak", done["peak_mb"], "MB", "≤ 512", verified),
    ]
