"""What speaks for one person and what for two, case by case, and how well that goes on invented Italians."""

import pytest

from bench.duplicates_alone import judged
from bench.italians import Italians
from filiera.contacts.duplicates import score
from filiera.contacts.duplicates.score import IGNORE, LINK, REVIEW, Facts


def person(first="", last="", email="", phone="", city="", cap="", company="", tax_code=""):
    return first, last, email, phone, city, cap, company, tax_code


def facts(*people):
    first, last, emails, phones, *rest = (list(column) for column in zip(*people, strict=True))
    numbers = [(place, phone) for place, phone in enumerate(phones) if phone]
    return Facts(first, last, emails, numbers, *rest)


def judge(one, other, *others):
    """Return the band and the reasons of two people among others."""
    found = score.scan(facts(one, other, *others))
    for at in range(len(found)):
        if (found.one[at], found.other[at]) == (0, 1):
            return found.band(at), found.reasons(at)
    return IGNORE, []


MOBILE = "+393331234567"
AT_HOME = {"city": "Trieste", "cap": "34121"}


@pytest.mark.parametrize(
    ("one", "other", "band", "because"),
    [
        (person("Mario", "Rossi", phone=MOBILE), person("Rossi", "Mario", phone=MOBILE), LINK, "swapped"),
        (person("Giuseppe", "Riva", phone=MOBILE), person("Beppe", "Riva", phone=MOBILE), LINK, "given_nickname"),
        (person("Niccolò", "D’Amico", "n@d.it"), person("NICCOLO", "D'amico", "N@D.IT"), LINK, "email_same"),
        (person("Elena", "Fontana", phone=MOBILE), person("Elena", "Fonatna", phone=MOBILE), LINK, "surname_slip"),
        (person("Ada Maria Neri", "", "a@n.it"), person("Ada", "Neri", "a@n.it"), LINK, "given_equal"),
        (person("Ugo", "Serra", tax_code="SRRGUO70A01H501X"), person("U.", "Serra", tax_code="srrguo70a01h501x"), LINK,
         "tax_code_same"),
        (person("Nora", "Riva", company="Riva Auto S.r.l.", **AT_HOME),
         person("Nora", "Riva", company="RIVA AUTO SRL", **AT_HOME), LINK, "company_same"),
        # Same name, same city, and nothing by which one could tell: people decide.
        (person("Nora", "Riva", city="Trieste"), person("Nora", "Riva", city="Trieste"), REVIEW, "place_shared"),
    ],
)  # fmt: skip
def test_one_person_written_twice(one, other, band, because):
    found, reasons = judge(one, other)

    assert found == band
    assert because in reasons


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (person("Ada", "Riva", phone=MOBILE, **AT_HOME), person("Bruno", "Riva", phone=MOBILE, **AT_HOME)),
        (person("Angela", "Riva", phone=MOBILE, **AT_HOME), person("Angelo", "Riva", phone=MOBILE, **AT_HOME)),
        (person("Mario", "Riva", phone=MOBILE, **AT_HOME), person("Marco", "Riva", phone=MOBILE, **AT_HOME)),
        (person("Nora", "Riva", "n@r.it", MOBILE, tax_code="A"),
         person("Nora", "Riva", "n@r.it", MOBILE, tax_code="B")),
        (person("Ada", "Neri", "info@riva.it", company="Riva srl"),
         person("Ugo", "Poli", "info@riva.it", company="Riva")),
        (person("Nora", "Riva", **AT_HOME), person("Nora", "Riva", city="Bari", cap="70121")),
        (person(), person()),
    ],
)  # fmt: skip
def test_two_people_who_look_alike(one, other):
    assert judge(one, other) == (IGNORE, [])


def test_a_switchboard_links_nobody():
    office = [
        person(first, last, phone=MOBILE)
        for first, last in (("Ida", "Poli"), ("Ugo", "Tosi"), ("Ivo", "Lupo"))
    ]

    found = score.scan(facts(*office, person("Ida", "Poli", phone=MOBILE)))

    assert [(found.one[at], found.other[at], found.band(at)) for at in range(len(found))] == [(0, 3, LINK)]
    assert "number_shared" in found.reasons(0)


@pytest.mark.parametrize(("is_hard", "least"), [(False, 0.97), (True, 0.95)])
def test_who_is_who_among_invented_italians(is_hard, least):
    records = Italians(seed=11, is_hard=is_hard).records(8_000)
    found = score.scan(
        Facts(
            [each.first for each in records],
            [each.last for each in records],
            [each.email for each in records],
            [(place, number) for place, each in enumerate(records) for number in each.phones],
            [each.city for each in records],
            [each.cap for each in records],
            [each.company for each in records],
            [each.tax_code for each in records],
        )
    )
    linked = found.points >= score.LINK_FROM

    quality = judged(
        set(zip(found.one[linked].tolist(), found.other[linked].tolist(), strict=True)),
        [each.person for each in records],
    )

    assert quality["f1"] >= least
