"""How requests share a commit."""

import asyncio
from uuid import UUID

import pytest

from filiera.capture import group_commit
from filiera.capture.group_commit import Entry, GroupCommit

SENDERS = 2 * group_commit.CROWD


def entry() -> Entry:
    return Entry(UUID(int=1), UUID(int=2), "", False, "", "", "", b"", "", "queued", "", "", None, "", 0)


def batches_of(monkeypatch: pytest.MonkeyPatch, *, senders: int) -> list[int]:
    """Return the sizes of five batches, when half of the senders come while the others' batch is on its way."""
    sizes: list[int] = []

    async def drive() -> None:
        commit = GroupCommit("", max_retries=3)
        stored = asyncio.Event()

        async def store(entries: list[Entry]) -> dict[int, group_commit.Outcome]:
            sizes.append(len(entries))
            await stored.wait()
            return {}

        async def sender() -> None:
            while len(sizes) < 5:
                await commit.accept(entry())

        monkeypatch.setattr(commit, "_store", store)
        early = [asyncio.create_task(sender()) for _ in range(senders // 2)]
        while not sizes:
            await asyncio.sleep(0)
        late = [asyncio.create_task(sender()) for _ in range(senders - len(early))]
        while len(commit._waiting) < len(late):
            await asyncio.sleep(0)
        stored.set()
        await asyncio.gather(*early, *late)
        await commit.close()

    asyncio.run(drive())
    return sizes


def test_senders_who_come_back_share_one_flush_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "GATHER_S", 10.0)

    first, *later = batches_of(monkeypatch, senders=SENDERS)

    assert first == SENDERS // 2
    assert set(later[:3]) == {SENDERS}


def sizes_of_a_crowd_and_one_more(monkeypatch: pytest.MonkeyPatch, crowd: int) -> list[int]:
    """Return the sizes of the batches of `crowd` senders at once and, when they are answered, one alone."""

    async def drive() -> list[int]:
        commit = GroupCommit("", max_retries=3)
        sizes: list[int] = []

        async def store(entries: list[Entry]) -> dict[int, group_commit.Outcome]:
            sizes.append(len(entries))
            return {}

        monkeypatch.setattr(commit, "_store", store)
        await asyncio.gather(*(commit.accept(entry()) for _ in range(crowd)))
        await asyncio.wait_for(commit.accept(entry()), 30)
        await commit.close()
        return sizes

    return asyncio.run(drive())


def test_after_a_small_batch_nobody_waits_for_company(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "GATHER_S", 3600.0)
    few = group_commit.CROWD - 1

    assert sizes_of_a_crowd_and_one_more(monkeypatch, few) == [few, 1]


def test_who_does_not_come_back_delays_the_next_by_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sizes_of_a_crowd_and_one_more(monkeypatch, SENDERS) == [SENDERS, 1]
