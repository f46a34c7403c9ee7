"""Whatever stands in a body becomes a dictionary or a clear no."""

import contextlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.capture import documents
from filiera.capture.documents import FORM, Unreadable


def test_php_brackets_become_a_tree_and_numbered_ones_a_list() -> None:
    body = b"form%5Bid%5D=7&fields[a][raw_value][0]=x&fields[a][raw_value][1]=y&tags[]=1&tags[]=2&nome=Ada&nome=Bea"
    assert documents.parse(body, f"{FORM}; charset=UTF-8") == {
        "form": {"id": "7"},
        "fields": {"a": {"raw_value": ["x", "y"]}},
        "tags": ["1", "2"],
        "nome": "Bea",
    }


def test_brackets_that_mean_nothing_stay_in_the_name() -> None:
    assert documents.parse(b"a]b=1&[c]=2&d[=3", FORM) == {"a]b": "1", "[c]": "2", "d[": "3"}
    deep = "x" + "[y]" * 500
    assert documents.parse(f"{deep}=1".encode(), FORM) == {deep: "1"}


def test_a_multipart_form_gives_its_fields_and_the_names_of_its_files() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="nome"\r\n\r\nNiccol\xc3\xb2\r\n'
        b'--b\r\nContent-Disposition: form-data; name="vuole[]"\r\n\r\ncontratto\r\n'
        b'--b\r\nContent-Disposition: form-data; name="foto"; filename="casa.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n\xff\xd8\xff\r\n--b--\r\n"
    )
    expected = {"nome": "Niccolò", "vuole": ["contratto"], "foto": "casa.jpg"}
    assert documents.parse(body, 'multipart/form-data; boundary="b"') == expected


def test_json_under_the_form_type_is_still_json() -> None:
    assert documents.parse(b'{"nome": "Ada"}', FORM) == {"nome": "Ada"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"a"',
        b"null",
        b"NaN",
        b'{"a": NaN}',
        b"\xff\xfe",
        b"{" * 100_000,
        b"[" * 100_000,
        b"\0",
    ],
)
def test_what_is_no_json_object_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        documents.parse(body, "application/json")


def test_a_lone_surrogate_and_a_byte_order_mark_do_not_lose_the_lead() -> None:
    assert documents.parse(b'{"nome": "A\\ud800da"}') == {"nome": "A?da"}
    assert documents.parse(b'\xef\xbb\xbf{"nome": "Ada \\ud83d\\ude00"}') == {"nome": "Ada 😀"}


def test_a_number_beyond_64_bits_is_no_stumbling_block() -> None:
    assert documents.parse(b'{"id": 123456789012345678901234567890}')["id"] is not None


@given(
    body=st.binary(max_size=400),
    kind=st.sampled_from([FORM, "application/json", "multipart/form-data; boundary=x", ""]),
)
def test_any_bytes_are_a_document_or_unreadable(body: bytes, kind: str) -> None:
    with contextlib.suppress(Unreadable):
        assert isinstance(documents.parse(body, kind), dict)


@given(st.lists(st.tuples(st.text(alphabet="ab[]0.", max_size=12), st.text(max_size=5)), max_size=20))
def test_any_form_becomes_a_tree_that_json_can_hold(pairs: list[tuple[str, str]]) -> None:
    orjson.dumps(documents.tree(pairs))


def test_a_path_is_found_also_through_keys_with_dots_and_lists() -> None:
    document = {"1.3": "a", "x": {"y.z": {"w": 1}}, "l": [{"k": 2}]}
    assert documents.find(document, "1.3") == "a"
    assert documents.find(document, "x.y.z.w") == 1
    assert documents.find(document, "l.0.k") == 2
    assert (
        documents.find(document, "l.9.k")
        is documents.find(document, "no.such")
        is documents.find(1, "a")
        is None
    )
