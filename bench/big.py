"""The house with a million contacts, made once per run and shared by the figures that need it."""

import time

from bench.house import House, Machine, say

OPEN_DEALS_SHARE = 50
"""One deal in so many is open: of a million people most are done with."""
NEIGHBOUR_SHARE = 20
"""The other brand, whose rows row security has to hide, has one contact for so many."""


def big_house(machine: Machine) -> House:
    """Return the house whose first brand has `machine.contacts` contacts, each with its deal and history."""
    if machine.big is None:
        started = time.perf_counter()
        house = machine.house()
        contacts = machine.contacts
        neighbour = house.furnish(brand="vicino")
        fill(house, neighbour, contacts=contacts // NEIGHBOUR_SHARE, first=45_000_000)
        fill(house, house.furnish(), contacts=contacts)
        say(f"{contacts:,} contacts in {time.perf_counter() - started:.0f} s")
        machine.big = house
    return machine.big


def fill(house: House, facts: dict[str, object], *, contacts: int, **options: object) -> None:
    """Fill the brand of `facts`; options are those of `bench.million`."""
    given = {"contacts": contacts, "open_deals": max(contacts // OPEN_DEALS_SHARE, 1), **options}
    as_superuser = {
        "FILIERA_OWNER_DATABASE_URL": house.urls.admin
    }  # who alone may spare the checks of references
    house.run("-m", "bench.million", house.json(facts | given), role="owner", **as_superuser)
