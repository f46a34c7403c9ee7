"""Recognition by e-mail, and names: small tables of cases."""

import pytest

from filiera.contacts import rules


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("  Adele.Brunetti@Posta.EXAMPLE ", "adele.brunetti@posta.example"),
        ("a@b", "a@b"),
        ("", None),
        ("adele", None),
        ("adele@", None),
        ("adele brunetti@posta.example", None),
        ("a@b@c", None),
        ("a" * 250 + "@posta.example", None),
    ],
)
def test_an_address_is_recognised_by_its_trimmed_lower_case_form(typed, key):
    assert rules.email_key(typed) == key


@pytest.mark.parametrize("typed", ["", "  ", "null", "NULL", "None", "undefined"])
def test_what_senders_write_for_nothing_is_nothing(typed):
    assert rules.present(typed) == ""


def test_a_name_is_kept_trimmed():
    assert rules.present("  Dal Pozzo ") == "Dal Pozzo"


@pytest.mark.parametrize(
    ("full", "parts"),
    [
        ("Elvira Dal Pozzo", ("Elvira", "Dal Pozzo")),
        ("Elvira", ("Elvira", "")),
        ("  Elvira   Dal  Pozzo ", ("Elvira", "Dal Pozzo")),
        ("", ("", "")),
    ],
)
def test_a_typed_in_name_splits_at_the_first_space(full, parts):
    assert rules.split_at_first_space(full) == parts
    assert rules.full_name(*parts) == " ".join(full.split())
