"""An erased person in a file that still waits: their lines are emptied, the others' stay as they are."""

from uuid import UUID

from django.db import connection

from filiera.contacts import subject
from filiera.contacts.models import ImportPiece
from filiera.contacts.subject import Subject


def empty_lines(person: Subject) -> int:
    """Empty each line of a waiting file that holds a number or address of a person, or their whole name.

    Returns how many they were. A file has a row each, so whatever else stands in the line is theirs too.
    """
    pattern = subject.pattern_of(person.strong, person.names)
    finds, emptied = subject.for_python(pattern), 0
    for piece in ImportPiece.objects.filter(id__in=_holding(person.pattern)).select_related("run"):
        encoding = piece.run.options.get("encoding", "utf-8")
        lines = bytes(piece.content).decode(encoding, "surrogateescape").split("\n")
        theirs = [place for place, line in enumerate(lines) if finds.search(line)]
        for place in theirs:
            # A quotation mark without its fellow goes on in the next line: rows keep their beginnings and numbers.
            lines[place] = '"' * (lines[place].count('"') % 2)
        piece.content = "\n".join(lines).encode(encoding, "surrogateescape")
        piece.save(update_fields=["content"])
        emptied += len(theirs)
    return emptied


def _holding(pattern: str) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute("select id from contacts_importpiece where encode(content, 'escape') ~* %s", [pattern])
        return [key for (key,) in cursor.fetchall()]
