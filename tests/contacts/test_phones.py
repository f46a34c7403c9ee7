"""Telephone numbers: the table of contacts.md 4.1, its known flaws, and properties that hold for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.contacts import phones
from filiera.contacts.phones import Problem, normalise

# CON-08: the ledger's table, case by case.
LEDGER = [
    ("+39 333 123 4567", "3331234567", "IT", False),
    ("333 123 4567", "3331234567", "IT", True),
    ("+44 7911 123456", "7911123456", "GB", False),
    ("393331234567", "3331234567", "IT", False),
    ("0039 06 123456", "06123456", "IT", False),
    ("+39 06 12345", "0612345", "IT", False),
    ("391 234 5678", "3912345678", "IT", True),
    ("+351 912 345 678", "351912345678", None, False),
]


@pytest.mark.parametrize(("typed", "national", "country", "assumed"), LEDGER)
def test_a_number_gives_the_four_values_of_the_ledger(typed, national, country, assumed):
    """CON-04, CON-06 to CON-10: normalised, country, whether it was assumed, and the text as typed."""
    phone = normalise(typed)
    assert (phone.normalised, phone.country_code, phone.assumed_country) == (national, country, assumed)
    assert phone.raw == typed
    assert phone.is_valid


@pytest.mark.parametrize(
    ("typed", "e164"),
    [
        ("333 123 4567", "+393331234567"),
        ("+44 7911 123456", "+447911123456"),
        ("06 5550 1777", "+390655501777"),  # an Italian landline keeps its zero
        ("+351 912 345 678", "+351912345678"),  # unknown country: + and the digits as kept
        ("(+39) 06 12345", "+390612345"),
        ("tel:+39-351-000-4127", "+393510004127"),
        ("０３５１０００４１２", "+390351000412"),  # full-width digits
        ("+0039 351 000 4127", "+393510004127"),
    ],
)
def test_the_form_to_dial_is_derived(typed, e164):
    """CON-11."""
    assert normalise(typed).e164 == e164


@pytest.mark.parametrize(
    "typed", ["+44 (0)7911 123456", "00447911123456", "447911123456", "+44 7911-123-456"]
)
def test_one_british_number_is_one_number_however_it_is_written(typed):
    phone = normalise(typed)
    assert (phone.country_code, phone.normalised, phone.e164) == ("GB", "7911123456", "+447911123456")


def test_the_default_country_can_change_per_call():
    """CON-05."""
    british = normalise("07911 123456", "GB")
    assert (british.country_code, british.normalised, british.assumed_country) == ("GB", "7911123456", True)
    portuguese = normalise("912 345 678", "PT")
    assert (portuguese.country_code, portuguese.e164) == ("PT", "+351912345678")
    assert normalise("+351 912 345 678", "PT").country_code == "PT"


@pytest.mark.parametrize(
    ("typed", "country"),
    [
        ("12345678901", "US"),  # ten digits after the 1: an American number
        ("123456789012", "IT"),  # eleven after it: not American, so not cut
    ],
)
def test_a_bare_prefix_counts_only_when_the_rest_fits_that_country(typed, country):
    """contacts.md 6: the bare 1 must not eat national numbers."""
    assert normalise(typed).country_code == country


@pytest.mark.parametrize(
    ("typed", "problem", "digits", "sentence"),
    [
        ("", Problem.NOT_A_NUMBER, 0, "Qui non vedo un numero di telefono."),
        ("abc", Problem.NOT_A_NUMBER, 0, "Qui non vedo un numero di telefono."),
        (
            "351 000 4",
            Problem.TOO_FEW_DIGITS,
            7,
            "Mancano cifre: ne ho contate 7. Un cellulare italiano ne ha 9 o 10.",
        ),
        ("06 123", Problem.TOO_FEW_DIGITS, 5, "Mancano cifre: ne ho contate 5. Ne servono da 6 a 12."),
        ("+1 555 1234", Problem.TOO_FEW_DIGITS, 7, "Mancano cifre: ne ho contate 7. Ne servono 10."),
        ("+3519123", None, 7, ""),
        ("+3519", Problem.TOO_FEW_DIGITS, 4, "Mancano cifre: ne ho contate 4. Ne servono da 6 a 15."),
        (
            "+351" + "9" * 13,
            Problem.TOO_MANY_DIGITS,
            16,
            "Ci sono troppe cifre: ne ho contate 16. Ne servono da 6 a 15.",
        ),
    ],
)
def test_a_number_that_cannot_be_dialled_says_why(typed, problem, digits, sentence):
    """CON-11, and the words of the design: what is wrong, counted, and what would do."""
    phone = normalise(typed)
    assert (phone.problem, phone.digits) == (problem, digits)
    assert phones.explain(phone) == sentence
    if problem is not None:
        assert (phone.normalised, phone.country_code, phone.e164) == ("", None, "")


def test_a_number_is_shown_as_people_write_it():
    assert phones.display("+393510004127") == "+39 351 000 4127"
    assert phones.display_short("+390410002290", "IT") == "041 000 2290"
    assert phones.display_short("+447911123456", "GB") == "+44 7911 123456"
    assert phones.display("not a number") == "not a number"


countries = st.sampled_from(["IT", "GB", "DE", "FR", "ES", "CH", "AT", "US", "PT"])
typed_numbers = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789+ -()/.", max_size=24),
    st.builds(
        lambda opening, digits: opening + digits,
        st.sampled_from(["", "+", "00", "+39", "0039", "39", "+44 (0)", "1", "0", "+351"]),
        st.text(alphabet="0123456789", min_size=3, max_size=16),
    ),
)


@given(typed_numbers, countries)
def test_any_text_has_an_answer_within_the_columns(typed, country):
    phone = normalise(typed, country)
    assert phone.raw == typed
    assert len(phone.normalised) <= 15
    assert len(phone.e164) <= 16
    assert phone.is_valid == bool(phone.normalised) == bool(phone.e164)
    assert not phone.normalised.strip("0123456789")
    if phone.is_valid:
        assert len(phone.normalised) >= 6
        assert phone.e164.endswith(phone.normalised)
        assert not (phone.assumed_country and phone.country_code != country)


@given(typed_numbers, countries)
def test_the_form_to_dial_leads_to_the_same_number(typed, country):
    """The E.164 form of a number is a fixed point: recognised again, it is the same key."""
    phone = normalise(typed, country)
    if not phone.is_valid:
        return
    again = normalise(phone.e164, country)
    assert (again.normalised, again.country_code, again.e164) == (
        phone.normalised,
        phone.country_code,
        phone.e164,
    )
    assert not again.assumed_country


@given(
    st.text(alphabet="0123456789", min_size=6, max_size=12), st.sampled_from([" ", "-", ".", "/", "\u00a0"])
)
def test_what_stands_between_the_digits_does_not_matter(digits, separator):
    spaced = separator.join(digits[i : i + 3] for i in range(0, len(digits), 3))
    one, other = normalise(digits), normalise(spaced)
    assert (one.normalised, one.country_code, one.problem) == (
        other.normalised,
        other.country_code,
        other.problem,
    )
