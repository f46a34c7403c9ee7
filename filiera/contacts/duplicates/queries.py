"""What the last search found, read page by page."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet

from filiera.contacts.duplicates import reading, reasons, rule
from filiera.contacts.duplicates.reading import Everybody
from filiera.contacts.models import Contact, DuplicateScan, DuplicateSuggestion

LIVE = 5_000
"""So many people are searched while who asked waits; of more, the last search answers."""


@dataclass(frozen=True, slots=True)
class Group:
    """People whom the rule joins, oldest first, with the pairs that say why.

    `crowd` is how many people there are where only the strongest pairs are shown, else 0.
    """

    people: Sequence[Contact]
    pairs: Sequence[DuplicateSuggestion]
    crowd: int = 0


def latest() -> DuplicateScan | None:
    """Return the search that was started last."""
    return DuplicateScan.objects.order_by("-created_at").first()


def latest_done() -> DuplicateScan | None:
    """Return the last search that came to its end."""
    return DuplicateScan.objects.filter(status=DuplicateScan.Status.DONE).order_by("-created_at").first()


def how_many() -> dict[str, int]:
    """Return how many open suggestions each band has."""
    return {band: _open().filter(band=band).count() for band in ("link", "review")}


def by_score(band: str, *, offset: int, limit: int) -> list[DuplicateSuggestion]:
    """Return open suggestions of a band, the most likely first, each with both people."""
    return list(_open().filter(band=band).order_by("-points", "id")[offset : offset + limit])


def by_rule(*, offset: int, limit: int) -> list[Group]:
    """Return what the rule joined, the largest group first."""
    places = _open().exclude(cluster=None).order_by("cluster").values_list("cluster", flat=True).distinct()
    shown = list(places[offset : offset + limit])
    if not shown:
        return []
    done = latest_done()
    crowds = done.crowds if done else {}
    pairs: dict[int | None, list[DuplicateSuggestion]] = defaultdict(list)
    for pair in _open().filter(cluster__range=(shown[0], shown[-1])).order_by("-similarity", "id"):
        pairs[pair.cluster].append(pair)
    return [Group(_people(pairs[place]), pairs[place], crowds.get(str(place), 0)) for place in shown]


def of_person(contact_id: UUID) -> QuerySet[DuplicateSuggestion]:
    """Return who may be the same person, the most likely first; what the rule alone says by name is left out."""
    either = Q(contact_id=contact_id) | Q(other_id=contact_id)
    said = ~Q(band="") | Q(reason="phone_and_email") | Q(rule__gt=rule.NAME)
    return _open().filter(either, said).order_by("-points", "created_at", "id")


def clusters(*, by_name: bool) -> tuple[list[list[tuple[UUID, list[str]]]], DuplicateScan | None]:
    """Return the rule's clusters, each person with what joins them, and the search that is answered from, if any.

    Few people are searched at once. A crowd is told as pairs, strongest first.
    """
    if Contact.objects.filter(deleted_at=None)[: LIVE + 1].count() <= LIVE:
        return _searched(reading.everybody(), by_name=by_name), None
    rows = _open().exclude(cluster=None)
    if not by_name:
        rows = rows.filter(rule__gt=rule.NAME)
    done = latest_done()
    crowds = set(done.crowds) if done else set()
    joined: dict[object, list[tuple[UUID, UUID, int]]] = defaultdict(list)
    found = rows.order_by("cluster", "-similarity", "id").values_list(
        "id", "cluster", "contact_id", "other_id", "rule"
    )
    for pair_id, place, one, other, bits in found.iterator(chunk_size=5_000):
        joined[pair_id if str(place) in crowds else place].append((one, other, bits))
    return [_members(pairs) for pairs in joined.values()], done


def told_apart(people: Everybody) -> frozenset[tuple[int, int]]:
    """Return the pairs of whom people said that they are two, by their places, the lower first."""
    dismissed = DuplicateSuggestion.objects.exclude(dismissed_at=None).values_list("contact_id", "other_id")
    places = people.places()
    known = ((places.get(one, -1), places.get(other, -1)) for one, other in dismissed)
    return frozenset((min(pair), max(pair)) for pair in known if min(pair) >= 0)


def _searched(people: Everybody, *, by_name: bool) -> list[list[tuple[UUID, list[str]]]]:
    apart = told_apart(people)
    answer = []
    for cluster in rule.clusters(people.for_rule(), by_name=by_name, apart=apart).clusters:
        rows = zip(
            cluster.pairs.one.tolist(),
            cluster.pairs.other.tolist(),
            cluster.pairs.reasons.tolist(),
            strict=True,
        )
        pairs = [(people.ids[one], people.ids[other], bits) for one, other, bits in rows]
        answer += [_members([pair]) for pair in pairs] if cluster.is_crowd else [_members(pairs)]
    return answer


def _members(pairs: Iterable[tuple[UUID, UUID, int]]) -> list[tuple[UUID, list[str]]]:
    bits_of: dict[UUID, int] = {}
    for one, other, bits in pairs:
        for person in (one, other):
            bits_of[person] = bits_of.get(person, 0) | bits
    return [(person, list(reasons.codes(bits))) for person, bits in bits_of.items()]


def _people(pairs: Iterable[DuplicateSuggestion]) -> list[Contact]:
    people = {person.id: person for pair in pairs for person in (pair.contact, pair.other)}
    return sorted(people.values(), key=lambda person: (person.created_at, person.id))


def _open() -> QuerySet[DuplicateSuggestion]:
    return DuplicateSuggestion.objects.filter(
        dismissed_at=None, contact__deleted_at=None, other__deleted_at=None
    ).select_related("contact", "other")
