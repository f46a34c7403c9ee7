"""Q-21: the database restarts, has no connection or disk left: a clear answer, nothing lost, no hand needed."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson
import psycopg

from bench import leads
from bench.house import ROOT, say
from faults import kill
from faults.living import Living, living
from faults.senders import Senders
from faults.verdict import Verdict
from filiera.platform import home as homes

AWAY_S = 4.0
BACK_LIMIT_S = 60.0
ANSWER_LIMIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was told: 0 when it was told nothing."""

    status: int
    retry_after: str | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class Probes:
    """Answers of the doors while something is broken."""

    lead: list[Answer] = field(default_factory=list)
    marketplace: list[Answer] = field(default_factory=list)
    page: list[Answer] = field(default_factory=list)

    def is_clear(self, answers: list[Answer], status: int, *, may_be_served: bool = False) -> bool:
        """Return whether there was such a refusal, each with Retry-After, and no other answer but a success.

        The marketplace's proof is forged: told so with 401 it was read and judged, which is an answer too. With
        `may_be_served` there need not have been a refusal.
        """
        refused = [answer for answer in answers if not (200 <= answer.status < 400 or answer.status == 401)]
        return (bool(refused) or may_be_served) and all(
            answer.status == status and answer.retry_after for answer in refused
        )

    def summary(self) -> dict[str, list[tuple[int, str | None, float]]]:
        return {
            name: sorted({(a.status, a.retry_after, round(a.seconds)) for a in answers}, key=str)
            for name, answers in (("lead", self.lead), ("marketplace", self.marketplace), ("page", self.page))
        }


def run() -> Verdict:
    """Break the database in three ways, each in its own house, and judge each."""
    verdict = Verdict("Q-21", "database restarted, connections exhausted, disk full")
    for name, script, settings in (
        ("restart", restart, {}),
        ("connections", connections, {}),
        ("stuck pool", stuck_pool, {"FILIERA_DATABASE_POOL": "2"}),
    ):
        say(f"Q-21 {name} …")
        with living(**settings) as house:
            script(verdict, house)
    say("Q-21 disk …")
    _disk_in_its_own_mounts(verdict)
    return verdict


def restart(verdict: Verdict, house: Living) -> None:
    """Stop the server under load, keep it from coming back for a while, then leave it to the supervisor."""

    @contextmanager
    def away() -> Iterator[None]:
        # Who starts the server holds this lock: while we do, nobody can.
        with homes.locked(homes.subfolder(house.home, "locks") / "database"):
            for pid in kill._postmaster(house):
                os.kill(pid, signal.SIGINT)
            yield

    _break(verdict, house, "restart", away)


def connections(verdict: Verdict, house: Living) -> None:
    """End the application's sessions and let it open no other one: too many connections for its role."""

    @contextmanager
    def away() -> Iterator[None]:
        with psycopg.connect(house.urls.admin, autocommit=True) as admin:
            admin.execute("alter role filiera_app connection limit 0")
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'filiera_app'"
            )
            try:
                yield
            finally:
                admin.execute("alter role filiera_app connection limit -1")

    _break(verdict, house, "connections", away)


def stuck_pool(verdict: Verdict, house: Living) -> None:
    """Hold locks that make every statement of the doors wait: the pools run dry, the server itself is well."""

    @contextmanager
    def away() -> Iterator[None]:
        with psycopg.connect(house.urls.owner) as owner:
            owner.execute("lock table capture_submission, identity_session in access exclusive mode")
            yield

    _break(verdict, house, "stuck pool", away, away_s=12.0)


def disk_full(verdict: Verdict, house: Living, folder: str) -> None:
    """Fill the file system under the database to the last byte, under load, and make room again."""
    ballast = os.path.join(folder, "ballast")  # noqa: PTH118

    @contextmanager
    def away() -> Iterator[None]:
        stopping = threading.Event()

        def fill() -> None:
            with open(ballast, "ab", buffering=0) as file:  # noqa: PTH123
                while not stopping.is_set():
                    try:
                        file.write(b"\0" * 4096)
                    except OSError:  # full: look again for what the server gives back
                        stopping.wait(0.05)

        filler = threading.Thread(target=fill, daemon=True)
        filler.start()
        while shutil.disk_usage(folder).free:
            time.sleep(0.05)
        try:
            yield
        finally:
            stopping.set()
            filler.join()
            os.unlink(ballast)  # noqa: PTH108

    _break(verdict, house, "disk full", away, away_s=10.0)


def _break(verdict: Verdict, house: Living, name: str, away, away_s: float = AWAY_S) -> None:  # type: ignore[no-untyped-def]
    """Send leads all the time; break, probe the doors, mend, and check the answers and what is stored."""
    senders = Senders(house.port, house.facts, per_second=30.0)
    senders.start()
    time.sleep(2.0)
    with away():
        time.sleep(0.5)
        probes = _probe(house, away_s)
    mended_at = time.monotonic()
    back = _accepts_again(house)
    back_s = time.monotonic() - mended_at
    time.sleep(1.0)
    senders.stop()
    kill._settle(house)
    verdict.facts[name] = {
        "acknowledged": len(senders.acknowledged),
        "answers": senders.statuses,
        "probes": probes.summary(),
        "back_s": round(back_s, 1),
    }
    verdict.check(f"{name}: a lead is told 503 with Retry-After", probes.is_clear(probes.lead, 503))
    verdict.check(
        f"{name}: a marketplace is told 429 with Retry-After", probes.is_clear(probes.marketplace, 429)
    )
    # A full disk still reads: pages may go on as if nothing had happened.
    page_is_clear = probes.is_clear(probes.page, 503, may_be_served=name == "disk full")
    verdict.check(f"{name}: a page is told 503 with Retry-After", page_is_clear)
    verdict.check(f"{name}: no 503 without Retry-After", senders.without_retry_after == 0)
    verdict.check(f"{name}: leads are accepted again without a hand", back, seconds=back_s)
    inner = Verdict(verdict.id, name)
    kill._judge_leads(inner, house, senders.acknowledged)
    for check, holds in inner.checks.items():
        verdict.check(f"{name}: {check}", holds, **inner.facts.get(f"seen: {check}", {}))


def _probe(house: Living, seconds: float) -> Probes:
    """Knock at every door until `seconds` are over, each knock waited for."""
    probes = Probes()
    signed = {"X-GHL-Signature": "bm9uZQ==", "Content-Type": "application/json"}
    own = {"X-API-Key": house.facts["key"], "Content-Type": "application/json"}
    cookie = {"Cookie": f"auth-token={house.facts['session']}"}
    ends_at = time.monotonic() + seconds
    marketplace = f"/webhook-ingest/{house.facts['marketplace_source']}"

    def lead(number: int) -> None:
        probes.lead.append(
            _ask(house, "POST", f"/webhook-ingest/{house.facts['source']}", own, leads.lead(number))
        )

    def app(number: int) -> None:
        probes.marketplace.append(_ask(house, "POST", marketplace, signed, leads.lead(number)))

    def page(number: int) -> None:
        probes.page.append(_ask(house, "GET", "/leads", cookie))

    def knock(door, first: int) -> None:  # type: ignore[no-untyped-def]
        number = first
        while time.monotonic() < ends_at:
            door(number)
            number += 1
            time.sleep(0.1)

    with ThreadPoolExecutor(8) as threads:
        for place, door in enumerate((lead, app, page, page, page, page)):
            threads.submit(knock, door, 90_000_000 + place * 10_000)
    return probes


def _ask(house: Living, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=ANSWER_LIMIT_S)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return Answer(answer.status, answer.headers.get("Retry-After"), time.monotonic() - started)
    except (OSError, http.client.HTTPException):
        return Answer(0, None, time.monotonic() - started)
    finally:
        connection.close()


def _accepts_again(house: Living) -> bool:
    ends_at = time.monotonic() + BACK_LIMIT_S
    headers = {"X-API-Key": house.facts["key"], "Content-Type": "application/json"}
    path, number = f"/webhook-ingest/{house.facts['source']}", 95_000_000
    while time.monotonic() < ends_at:
        number += 1
        if _ask(house, "POST", path, headers, leads.lead(number)).status == 200:
            return True
        time.sleep(0.2)
    return False


def _disk_in_its_own_mounts(verdict: Verdict) -> None:
    """Run `faults.disk` where it may mount a small file system that nobody else sees; needs Linux's namespaces."""
    alone = ["unshare", "--mount"]
    if os.geteuid() != 0:
        alone += ["--user", "--map-current-user", "--keep-caps"]
    done = subprocess.run(
        [*alone, sys.executable, "-m", "faults.disk"], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    found = orjson.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None
    if found is None:
        verdict.check("disk full: a small file system can be mounted", False, returncode=done.returncode)
        return
    verdict.facts |= found["facts"]
    verdict.checks |= found["checks"]
