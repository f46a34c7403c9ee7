"""A figure prints the line of its contract, and says honestly whether it is met."""

import socket
import threading
from itertools import repeat

import orjson
import pytest

from bench import figures, load
from bench.figures import Figure, NotVerified
from bench.isolation import with_explicit_filter

KEYS = ["id", "what", "value", "unit", "baseline", "ratio", "target", "met", "verified", "command"]


def test_a_line_has_the_keys_of_the_contract_in_their_order():
    line = Figure("Q-1", "leads", 9800.04, "leads/s", "≥ 0.38", "294000 rows", baseline=21300.0).line()

    assert list(line) == KEYS
    assert line == {
        "id": "Q-1",
        "what": "leads",
        "value": 9800.0,
        "unit": "leads/s",
        "baseline": 21300.0,
        "ratio": 0.46,
        "target": "≥ 0.38",
        "met": True,
        "verified": "294000 rows",
        "command": "make bench ONLY=Q-1",
    }


@pytest.mark.parametrize(
    ("target", "value", "baseline", "ratio", "is_met"),
    [
        ("≥ 8 000", 8000.0, None, None, True),
        ("≥ 8 000", 7999.9, None, None, False),
        ("≤ 60", 60.0, None, None, True),
        ("≤ 60", 60.1, None, None, False),
        ("≥ 0.38", 3800.0, 10000.0, None, True),
        ("≥ 0.38", 8100.0, 22000.0, None, False),  # the ratio counts, not the value
        ("≤ 1.3", 2000.0, 2500.0, 1.25, True),
        ("≤ 1.10", 1.11, 1.0, None, False),
    ],
)
def test_met_follows_the_ratio_where_there_is_a_baseline(target, value, baseline, ratio, is_met):
    figure = Figure("Q-0", "anything", value, "x", target, "0 rows", baseline=baseline, ratio=ratio)

    assert figure.line()["met"] is is_met


def test_a_figure_without_a_baseline_has_no_ratio():
    line = Figure("Q-2", "latency", 4.0, "ms", "≤ 6", "0 rows").line()

    assert (line["baseline"], line["ratio"], line["met"]) == (None, None, True)


def test_lines_are_printed_and_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results.jsonl")
    figures.write([Figure("Q-2", "latency", 4.0, "ms", "≤ 6", "800 rows")])

    printed = capsys.readouterr().out
    assert orjson.loads(printed)["id"] == "Q-2"
    assert (tmp_path / "results.jsonl").read_text() == printed


def test_a_clock_without_the_rows_is_no_figure():
    with pytest.raises(NotVerified):
        figures.verify(99, 100, "rows")
    with pytest.raises(NotVerified):
        figures.verify(0, 0, "rows")


def test_percentiles_are_values_that_were_measured():
    values = [float(n) for n in range(1, 101)]

    assert figures.percentile(values, 0.5) == 51.0
    assert figures.percentile(values, 0.99) == 100.0
    assert figures.percentile([], 0.99) == 0.0


def test_every_answer_is_counted_by_its_status_also_when_it_comes_in_pieces():
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer_in_pieces, args=(server, 20))
        thread.start()
        measured = load.closed(
            server.getsockname()[1], repeat(b"GET / HTTP/1.1\r\n\r\n", 20), seconds=9, connections=1
        )
        thread.join()

    assert dict(measured.statuses) == {200: 10, 503: 10}
    assert measured.accepted == 10
    assert len(measured.latencies_s) == 20


def _answer_in_pieces(server: socket.socket, times: int) -> None:
    peer, _address = server.accept()
    with peer:
        for number in range(times):
            peer.recv(4096)
            status = b"200 OK" if number % 2 else b"503 Service Unavailable"
            for piece in (b"HTTP/1.1 " + status + b"\r\nContent-", b"Length: 5\r\n\r\nab", b"cde"):
                peer.sendall(piece)


def test_a_table_of_a_brand_is_read_through_an_explicit_filter():
    statement = 'SELECT "t"."id" FROM "t" INNER JOIN "u" x ON (x."id" = "t"."u_id") WHERE "t"."a" = 1'

    assert with_explicit_filter(statement, {"t", "u"}, "b") == (
        """SELECT "t"."id" FROM (select * from "t" where brand_id = 'b') "t" """
        """INNER JOIN (select * from "u" where brand_id = 'b') x ON (x."id" = "t"."u_id") WHERE "t"."a" = 1"""
    )
    assert with_explicit_filter(statement, set(), "b") == statement
