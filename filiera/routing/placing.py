"""Place a brand's due calls, and settle those whose end nobody told us.

One process at a time does it for a brand: a lease on its connection. Pass after pass it looks at the rows, starts what
circuit and budget allow, and saves what came back; a bell calls it to the rows when something is new. Rows are read and
written in short transactions of this thread, never while a request is waited for; the requests run side by side in
another.

What a crash leaves behind is found again by its moment: a process by `due_at`, an attempt by `check_at`. An attempt
that was stored and perhaps never sent counts as unknown.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from filiera.contacts.models import Contact
from filiera.identity import vault
from filiera.identity.models import Brand
from filiera.platform import brand_scope, circuit, limiter
from filiera.platform.models import EndpointHealth
from filiera.routing import areas, attempts, codes, errands, gate, outcomes, settling, tracking
from filiera.routing.cloudtalk import (
    BULK_LIMIT,
    Account,
    ContactAdded,
    ContactRefused,
    KeyRefused,
    NewContact,
    RateLimited,
    TooManyRequests,
)
from filiera.routing.commands.agents import take_agents_list
from filiera.routing.errands import (
    AddContacts,
    Call,
    Errand,
    FindCall,
    ListAgents,
    NoContact,
    ReadDetail,
    Trouble,
)
from filiera.routing.line import Bell, Line
from filiera.routing.models import (
    CallAttempt,
    Connection,
    Process,
    ProviderContact,
)

MOST_UNDER_WAY: Final = 200
TOGETHER_S: Final = 0.04  # at least from one look at the rows to the next: what comes meanwhile goes together
LOOK_EVERY_S: Final = 0.25  # how often new work is looked for while answers are awaited and nobody woke us
LEASE: Final = timedelta(seconds=20)
POLL_EVERY_S: Final = 10
TROUBLE_WAIT: Final = timedelta(seconds=10)
PROBE_WAIT: Final = timedelta(seconds=2)
SOON_S: Final = 0.2
RESET_DEFAULT: Final = timedelta(seconds=60)
RESET_AT_MOST: Final = timedelta(minutes=5)
CONTACT_PATIENCE: Final = timedelta(minutes=30)

NO_CONNECTION: Final = gettext_noop("Nessun centralino è collegato")
DRY_RUN: Final = gettext_noop("Prova a vuoto: le chiamate sono spente")

log = areas.logger("lead-to-call:calls")


def place_calls(brand_id: UUID, *, bell: Bell | None = None, linger_s: float = 0.0) -> None:
    """Place what is due and settle what is open, until nothing is. Returns at once when another process does it.

    With nothing left it stays for `linger_s`, to be woken by `bell`: the connections to the provider are kept.
    """
    bell = bell or Bell()
    while not bell.is_over and _take_lease(brand_id, now=timezone.now()):
        try:
            _run(brand_id, bell, linger_s)
        finally:
            _give_back_lease(brand_id)
        with brand_scope.use(brand_id):
            if not _anything_due(timezone.now()):
                return


def sync_agents(brand_id: UUID) -> None:
    """Read the provider's list of agents now and add those we do not know. Raises when the provider cannot be asked."""
    with brand_scope.use(brand_id):
        connection = Connection.objects.select_related("circuit", "vault_key").get()
        account = _account(connection)
    now = timezone.now()
    if (
        account is None
        or not limiter.reserve(connection.account, limit=connection.requests_per_minute, now=now).granted
    ):
        raise RuntimeError("the provider cannot be asked now")

    errand = ListAgents(now)
    with Line(account, most=MOST_UNDER_WAY) as line:
        line.start(errand)
        line.finished(timeout_s=None)
    if isinstance(errand.result, Exception):
        raise errand.result
    with brand_scope.use(brand_id):
        take_agents_list(errand.result or [], read_at=now, add_new=True)
        Connection.objects.update(agents_polled_at=now, last_ok_at=now)


def _run(brand_id: UUID, bell: Bell, linger_s: float) -> None:
    with brand_scope.use(brand_id):
        connection = Connection.objects.select_related("circuit", "vault_key").get()
        if connection.circuit is None:
            connection.circuit = circuit.ensure(connection.account)
            connection.save(update_fields=["circuit"])
        account = _account(connection)
        if account is None:
            _fail_all(connection.disabled_reason or NO_CONNECTION, now=timezone.now())
            return
        zone = ZoneInfo(Brand.objects.values_list("timezone", flat=True).get(id=brand_id))
    with Line(account, most=MOST_UNDER_WAY) as line:
        _Placing(connection, zone, line, bell).run(linger_s)


def _account(connection: Connection) -> Account | None:
    """Return where to call and with which key; None when the connection is off or has no key."""
    if not connection.is_enabled or connection.vault_key is None:
        return None
    key_id, _colon, secret = vault.reveal(connection.vault_key).partition(":")
    return Account(connection.base_url, key_id, secret, connection.analytics_url)


def _take_lease(brand_id: UUID, *, now: datetime) -> bool:
    with brand_scope.use(brand_id):
        free = Q(placing_until__isnull=True) | Q(placing_until__lt=now)
        if Connection.objects.filter(free).update(placing_until=now + LEASE):
            return True
        if not Connection.objects.exists():
            _fail_all(NO_CONNECTION, now=now)
    return False


def _give_back_lease(brand_id: UUID) -> None:
    with brand_scope.use(brand_id):
        Connection.objects.update(placing_until=None)


def _due_processes(now: datetime) -> QuerySet[Process]:
    """Processes whose moment has come and that have no call under way."""
    due = Process.objects.filter(due_at__lte=now).exclude(state=Process.State.DONE)
    return _without_live_attempt(due).order_by("due_at", "id")


def _without_live_attempt(processes: QuerySet[Process]) -> QuerySet[Process]:
    # NOT IN, on purpose: all calls under way are hashed once, where NOT EXISTS may read all of them for each process.
    under_way = CallAttempt.objects.filter(state__in=CallAttempt.LIVE, ended_at__isnull=True)
    return processes.exclude(id__in=under_way.values("process_id"))


def _anything_due(now: datetime) -> bool:
    return CallAttempt.objects.filter(check_at__lte=now).exists() or _due_processes(now).exists()


def _fail_all(message: str, *, now: datetime) -> None:
    """End what is due: no call can leave, so a person has to make it."""
    due = _due_processes(now).select_for_update(no_key=True, skip_locked=True)[:MOST_UNDER_WAY]
    with outcomes.Calls(now=now, processes=due) as calls:
        for process in calls.processes.values():
            calls.fail(process, codes.CALL_FAILED, message)


class _Placing:
    """One run for one brand: what is held back, and the line on which its requests are."""

    def __init__(self, connection: Connection, zone: ZoneInfo, line: Line, bell: Bell) -> None:
        self.brand_id, self.connection, self.zone, self.line = connection.brand_id, connection, zone, line
        self.bell = bell
        self.lease_until = timezone.now() + LEASE
        # Claimed processes that wait for a fresh list of agents.
        self.held: list[UUID] = []
        # Processes whose contact was refused, and is tried once more with nothing but name and number.
        self.plain_contacts: set[UUID] = set()
        # Processes whose contact is being made and that have no call under way behind it.
        self.waiting_for_contact: set[UUID] = set()

    def run(self, linger_s: float) -> None:
        """Go on until nothing is due and no answer is awaited, and the bell has been silent for `linger_s`."""
        self.bell.nudges(self.line)
        idle_until, looked_at = time.monotonic() + linger_s, 0.0
        try:
            while True:
                passed_at = time.monotonic()
                is_rung = self.bell.heard()
                if is_rung:
                    looked_at = passed_at
                if not self.bell.is_over:
                    self._start_what_may(timezone.now(), is_rung=is_rung)
                if self.line.under_way:
                    idle_until = time.monotonic() + linger_s
                elif self.bell.is_over or time.monotonic() >= idle_until:
                    return
                wait_s = LOOK_EVERY_S if self.line.under_way else idle_until - time.monotonic()
                back = self.line.finished(timeout_s=max(wait_s, 0.0))
                self._save_all([*back, *self._more(passed_at, looked_at)], timezone.now())
        finally:
            self.bell.nudges(None)
            if self.held:
                with brand_scope.use(self.brand_id):
                    self._give_back(self.held, timezone.now())

    def _more(self, passed_at: float, looked_at: float) -> list[Errand]:
        """Wait for what may go together: answers since the last pass, but when it rings since the last look."""
        back: list[Errand] = []
        while (wait_s := (looked_at if self.bell.rings else passed_at) + TOGETHER_S - time.monotonic()) > 0:
            back += self.line.finished(timeout_s=wait_s)
        return back + self.line.finished(timeout_s=0.0)

    # Starting

    def _start_what_may(self, now: datetime, *, is_rung: bool) -> None:
        """Look at the rows once, and start what circuit and budget allow."""
        with brand_scope.use(self.brand_id):
            self._renew_lease(now)
            if self.line.under_way and not is_rung and not self._anything_to_do(now):
                return
            self.connection = Connection.objects.select_related("circuit").get()
            if not self.connection.is_enabled:
                _fail_all(self.connection.disabled_reason or NO_CONNECTION, now=now)
                return
            list_is_due = self._list_is_due(now)
            if not list_is_due and not self._circuit_is_open():  # nearly always: one look is enough
                found = self._look(now, MOST_UNDER_WAY - len(self.line.under_way))
            elif list_is_due or self.held or _anything_due(now):
                found = None
            else:
                return
        if found is None:
            room = self._room(now)
            if room <= 0:
                return
            list_agents = list_is_due and self._may_list_agents(now)
            with brand_scope.use(self.brand_id):
                found = self._look(now, room, list_agents=list_agents)
        if found.asks:
            self._start(found, now)
        elif self.connection.circuit is not None and self._circuit_is_open():
            circuit.release(self.connection.circuit.circuit)

    def _look(self, now: datetime, room: int, *, list_agents: bool = False) -> _Found:
        """Take what is due and may be asked now, in an open scope."""
        found = _Found(room=room, list_agents=list_agents)
        if room <= 0:
            return found
        found.ready, found.missing = self._with_contacts(self._claim(now, room), now)
        found.checks = settling.due_checks(self.connection, now=now, limit=room)
        return found

    def _start(self, found: _Found, now: datetime) -> None:
        """Start as much of `found` as room and budget allow; the rest waits until the budget allows more."""
        reservation = limiter.reserve(
            self.connection.account,
            limit=self.connection.requests_per_minute,
            now=now,
            many=min(found.room, found.asks),
        )
        until = now + timedelta(seconds=max(reservation.wait_s, SOON_S))
        with brand_scope.use(self.brand_id):
            begun = self._begin_some(found, reservation.granted, until=until, now=now)
        for errand in begun:  # what they are about is committed
            self.line.start(errand)

    def _renew_lease(self, now: datetime) -> None:
        if self.lease_until - now < LEASE / 2:
            self.lease_until = now + LEASE
            Connection.objects.update(placing_until=self.lease_until)

    def _anything_to_do(self, now: datetime) -> bool:
        return (bool(self.held) and not self._is_listing()) or _anything_due(now)

    def _is_listing(self) -> bool:
        return any(isinstance(errand, ListAgents) for errand in self.line.under_way)

    def _room(self, now: datetime) -> int:
        """Return how many requests the circuit lets start now. While it is open, what is due waits."""
        health = self.connection.circuit
        if health is None or health.state == EndpointHealth.State.CLOSED:
            return MOST_UNDER_WAY - len(self.line.under_way)
        if self.line.under_way:  # not closed: one probe at a time
            return 0
        if circuit.admit(health.circuit, now=now):
            return 1
        is_open = health.state == EndpointHealth.State.OPEN and health.open_until is not None
        until = health.open_until if is_open else now + PROBE_WAIT
        log.debug("circuit %s is not closed, what is due waits until %s", health.circuit, until)
        with brand_scope.use(self.brand_id):
            self._give_back(self.held, now)
            self.held.clear()
            _due_processes(now).update(due_at=until, state=Process.State.WAITING)
            CallAttempt.objects.filter(check_at__lte=now).update(check_at=until)
        return 0

    def _list_is_due(self, now: datetime) -> bool:
        polled = self.connection.agents_polled_at
        is_fresh = polled is not None and now - polled < timedelta(seconds=POLL_EVERY_S)
        return not is_fresh and not self._is_listing()

    def _may_list_agents(self, now: datetime) -> bool:
        """Tell whether the agents' list may be read: at most once in ten seconds per account, over all brands."""
        turns = f"{self.connection.account} agents"
        return limiter.reserve(turns, limit=1, now=now, window_s=POLL_EVERY_S - limiter.MARGIN_S).granted == 1

    def _claim(self, now: datetime, room: int) -> list[Process]:
        """Take due processes for this run; the lease in `due_at` brings them back if it dies."""
        if self.held and not self._is_listing():
            claimed = list(Process.objects.filter(id__in=self.held, state=Process.State.CALLING))
            self.held.clear()
            return claimed
        claimed = list(_due_processes(now).select_for_update(no_key=True, skip_locked=True)[:room])
        if not claimed:
            return []
        if settings.ROUTING_DRY_RUN or self.connection.is_dry_run:
            with outcomes.Calls(now=now, processes=claimed) as calls:
                for process in claimed:
                    calls.fail(process, codes.CALL_FAILED, DRY_RUN)
            return []
        if stopped := gate.stopped(claimed, now=now):
            with outcomes.Calls(now=now, processes=claimed) as calls:
                for process in claimed:
                    if process.id in stopped:
                        calls.fail(process, codes.NOT_ALLOWED, stopped[process.id])
            claimed = [process for process in claimed if process.id not in stopped]
        Process.objects.filter(id__in=[process.id for process in claimed]).update(
            state=Process.State.CALLING, due_at=now + attempts.CLAIM_LEASE
        )
        return claimed

    def _with_contacts(
        self, claimed: Sequence[Process], now: datetime
    ) -> tuple[list[Process], list[Process]]:
        """Split into those whose number has a contact at the provider and those it must be made for, once a number."""
        if not claimed:
            return [], []
        known = dict(
            ProviderContact.objects.filter(
                number_e164__in={process.number_e164 for process in claimed}
            ).values_list("number_e164", "provider_contact_id")
        )
        ready: list[Process] = []
        missing: dict[str, Process] = {}
        for process in claimed:
            contact_id = known.get(process.number_e164)
            if contact_id is not None:
                process.steps = process.steps | {"contactCreation": _contact_step(contact_id)}
                ready.append(process)
            elif missing.setdefault(process.number_e164, process) is not process:
                self._give_back([process.id], now + PROBE_WAIT)
        return ready, list(missing.values())

    def _begin_some(self, found: _Found, granted: int, *, until: datetime, now: datetime) -> list[Errand]:
        """Return as many requests as were granted: the list, then calls, then checks. What is left waits `until`."""
        begun: list[Errand] = []
        left = granted
        if found.list_agents and left:
            Connection.objects.update(agents_polled_at=now)
            self.connection.agents_polled_at = now
            begun.append(ListAgents(now))
            left -= 1
        ready = found.ready[:left]
        left -= len(ready)
        # A contact and its call leave one after the other without another look at the rows in between.
        chained = found.missing[: _fitting(left)]
        # Not even one of those fits: the contacts alone, so that they are there when the calls may go.
        alone = found.missing[:BULK_LIMIT] if left == 1 else []
        not_now = found.ready[len(ready) :] + found.missing[len(chained) or len(alone) :]
        self._give_back([process.id for process in not_now], until)
        makings = self._contact_errands(chained or alone)
        left -= len(chained) + len(makings)
        calls, held = attempts.begin(
            [*ready, *chained],
            zone=self.zone,
            without_contact={process.id for process in chained},
            list_comes=bool(begun) or self._is_listing(),
            now=now,
        )
        self.held += held
        self.waiting_for_contact |= {process.id for process in chained or alone}
        self.waiting_for_contact -= {call.process_id for call in calls}
        for call in calls:
            call.contact = next((making for making in makings if making.is_for(call.process_id)), None)
        asked, later = found.checks[: max(left, 0)], found.checks[max(left, 0) :]
        if later:
            CallAttempt.objects.filter(id__in=[check.attempt_id for check in later]).update(check_at=until)
        return [*begun, *makings, *calls, *asked]

    def _contact_errands(self, missing: Sequence[Process]) -> list[AddContacts]:
        """Return the requests that make these contacts, ten in each."""
        people = Contact.objects.in_bulk([process.contact_id for process in missing]) if missing else {}
        contacts = [self._new_contact(process, people[process.contact_id]) for process in missing]
        return [AddContacts(contacts[at : at + BULK_LIMIT]) for at in range(0, len(contacts), BULK_LIMIT)]

    def _new_contact(self, process: Process, person: Contact) -> NewContact:
        contact = NewContact(str(process.id), person.full_name, process.number_e164)
        if process.id in self.plain_contacts:
            return contact
        return replace(
            contact, email=person.email or "", company=person.company_name, city=person.city, zip=person.cap
        )

    def _give_back(self, process_ids: Sequence[UUID], until: datetime) -> None:
        if process_ids:
            Process.objects.filter(id__in=process_ids, state=Process.State.CALLING).update(
                state=Process.State.WAITING, due_at=until
            )

    # Saving

    def _save_all(self, finished: Sequence[Errand], now: datetime) -> None:
        """Save what came back: contacts first, then all calls together, then everything else."""
        for errand in finished:
            self._learn(errand, now)
        makings = [errand for errand in finished if isinstance(errand, AddContacts)]
        calls = [errand for errand in finished if isinstance(errand, Call)]
        if makings or calls:
            with brand_scope.use(self.brand_id):
                self._save_contacts(makings, now)
                self._save_calls(calls, now)
        checks = [errand for errand in finished if isinstance(errand, FindCall | ReadDetail)]
        lists = [errand for errand in finished if isinstance(errand, ListAgents)]
        if checks or lists:
            with brand_scope.use(self.brand_id):
                for errand in lists:
                    if isinstance(errand.result, list):
                        take_agents_list(errand.result, read_at=errand.asked_at)
                        Connection.objects.update(last_ok_at=now)
                settling.save_answers(checks, now=now)

    def _learn(self, errand: Errand, now: datetime) -> None:
        """Take from an answer what it says about the provider: alive or not, until when to wait, whom it lets in."""
        alive = errands.shows_health(errand)
        if alive is not None:
            self._heard(alive, now)
        if isinstance(errand.result, RateLimited | TooManyRequests):
            errand.result = replace_reset(errand.result, now)
            assert errand.result.reset_at is not None
            limiter.block(self.connection.account, until=errand.result.reset_at)
        if isinstance(errand.result, KeyRefused):
            with brand_scope.use(self.brand_id):
                outcomes.disable_connection(errand.result.message, now=now)

    def _save_calls(self, answered: Sequence[Call], now: datetime) -> None:
        with outcomes.Calls(now=now, attempts=[errand.attempt_id for errand in answered]) as calls:
            for errand in answered:
                match errand.result:
                    case NoContact(cause=cause):
                        self._without_contact(calls, calls.never_asked(errand.attempt_id), cause)
                    case None:
                        pass
                    case result:
                        log.debug("attempt %s: %s", errand.attempt_id, result)
                        sent_at = datetime.fromtimestamp(errand.sent_at or now.timestamp(), UTC)
                        calls.answered_request(errand.attempt_id, result, sent_at=sent_at)

    def _heard(self, alive: bool, now: datetime) -> None:
        """Tell the circuit; a success that changes nothing is written at most every ten seconds."""
        health = self.connection.circuit
        if health is None:
            return
        is_clean = health.state == EndpointHealth.State.CLOSED and health.failure_count == 0
        is_fresh = health.last_success_at is not None and now - health.last_success_at < TROUBLE_WAIT
        if not (alive and is_clean and is_fresh):
            self.connection.circuit = circuit.record(health.circuit, success=alive, now=now)

    def _save_contacts(self, makings: Sequence[AddContacts], now: datetime) -> None:
        """Keep the contacts that were made. A process that waited for its contact alone goes on, or not, by it."""
        if not makings:
            return
        results = {
            process_id: making.result_of(process_id)
            for making in makings
            for process_id in making.process_ids
        }
        made = {key: result.id for key, result in results.items() if isinstance(result, ContactAdded)}
        ProviderContact.objects.bulk_create(
            [
                ProviderContact(
                    number_e164=contact.number_e164,
                    provider_contact_id=made[UUID(contact.command_id)],
                    created_at=now,
                )
                for making in makings
                for contact in making.contacts
                if UUID(contact.command_id) in made
            ],
            ignore_conflicts=True,
        )
        outcomes.contacts_made({key: _contact_step(contact_id) for key, contact_id in made.items()})
        alone = self.waiting_for_contact & results.keys()
        self.waiting_for_contact -= alone
        if not alone:  # nearly always: their calls leave behind them
            return
        waiting = (
            _without_live_attempt(Process.objects.filter(id__in=alone, state=Process.State.CALLING))
            .select_for_update(no_key=True)
            .order_by("id")
        )
        with outcomes.Calls(now=now, processes=waiting) as calls:
            for process in calls.processes.values():
                result = results[process.id]
                if isinstance(result, ContactAdded):
                    calls.wait(process, until=now)
                else:
                    self._without_contact(calls, process, result)

    def _without_contact(
        self, calls: outcomes.Calls, process: Process, cause: ContactRefused | Trouble | None
    ) -> None:
        """Decide what follows for a process whose contact was not made; it is locked and has no call under way.

        A refused contact is tried once more with nothing but name and number. Without a usable answer it is tried
        again until the circuit opens, for half an hour at most.
        """
        match cause:
            case ContactRefused(message=message):
                if process.id in self.plain_contacts:
                    calls.fail(process, codes.CONTACT_CREATION_FAILED, message)
                    return
                self.plain_contacts.add(process.id)
                until = calls.now
            case TooManyRequests(reset_at=reset_at):
                until = reset_at or calls.now + TROUBLE_WAIT
            case KeyRefused():
                until = calls.now
            case _:
                if calls.now - process.received_at > CONTACT_PATIENCE and not self._circuit_is_open():
                    calls.fail(process, codes.CONTACT_CREATION_FAILED, str(cause))
                    return
                until = calls.now + TROUBLE_WAIT
        calls.wait(process, until=until)

    def _circuit_is_open(self) -> bool:
        health = self.connection.circuit
        return health is not None and health.state != EndpointHealth.State.CLOSED


@dataclass(slots=True)
class _Found:
    """What a look at the rows found to ask for; its processes are claimed, its checks leased."""

    room: int
    ready: list[Process] = field(default_factory=list)
    missing: list[Process] = field(default_factory=list)
    checks: list[FindCall | ReadDetail] = field(default_factory=list)
    list_agents: bool = False

    @property
    def asks(self) -> int:
        """How many requests all of it would take."""
        contacts = -(-len(self.missing) // BULK_LIMIT)
        return len(self.ready) + len(self.missing) + contacts + len(self.checks) + self.list_agents


def _fitting(requests: int) -> int:
    """Return how many calls with a new contact each fit into so many requests: every ten take one more."""
    full, rest = divmod(requests, BULK_LIMIT + 1)
    return max(0, full * BULK_LIMIT + max(0, rest - 1))


def _contact_step(contact_id: str) -> dict[str, Any]:
    return {"success": True, "contactId": tracking.outward_id(contact_id)}


def replace_reset(limited: RateLimited | TooManyRequests, now: datetime) -> RateLimited | TooManyRequests:
    """Return a rate limit with an instant that can be waited for: within five minutes, a minute when it said none."""
    reset_at = limited.reset_at or now + RESET_DEFAULT
    reset_at = min(max(reset_at, now + timedelta(seconds=1)), now + RESET_AT_MOST)
    return type(limited)(reset_at)
