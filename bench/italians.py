"""Invented Italians in a CRM, some of them there twice, with who is whom: what duplicates are measured on.

The same seed makes the same people. Frequent names are frequent: some 270 given names and 39 000 surnames, both with
the long tail that they have in Italy. A second record of a person has the errors that CRMs have: typing slips,
nicknames and short forms, given name and surname in each other's field, accents lost, a number or an address that
changed, is missing or is the office's. Other people look like duplicates and are none: families behind one telephone,
colleagues behind one switchboard and one info@ address, father and son, people who share their name.
"""

import random
import sys
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson

WORDS = {
    section.partition(":")[0]: section.partition(":")[2].split()
    for section in Path(__file__).with_name("italian_names.txt").read_text(encoding="utf-8").split("\n\n")
}
MIDDLES = ("", "in", "ell", "ol")
BEFORE = ("di ", "de ", "d'", "del ", "della ", "lo ", "la ", "dal ", "san")
NICKNAMES = {
    "giuseppe": "beppe pino peppe geppi",
    "francesco": "franco ciccio checco",
    "francesca": "franca checca",
    "antonio": "tonino toni nino",
    "giovanni": "gianni nanni gio",
    "luigi": "gigi gino",
    "salvatore": "totò turi salvo",
    "alessandro": "ale sandro alex",
    "alessandra": "ale sandra",
    "domenico": "mimmo nico",
    "vincenzo": "enzo vince",
    "lorenzo": "renzo lori",
    "giuseppina": "pina giusy",
    "antonella": "anto nella",
    "elisabetta": "betta elisa",
    "maria": "mari mary",
    "roberto": "robi roby",
    "stefano": "ste stefy",
    "stefania": "ste stefy",
    "federica": "fede",
    "federico": "fede",
    "gabriele": "lele gabri",
    "raffaele": "lele raffa",
    "emanuele": "lele manu",
    "emanuela": "manu",
    "michele": "miky",
    "valentina": "vale",
    "daniela": "dani",
    "daniele": "dani",
    "nicola": "nico",
    "leonardo": "leo",
    "tommaso": "tommy",
    "riccardo": "ricky",
    "filippo": "pippo",
    "pasquale": "lino pasqualino",
    "gaetano": "tano",
    "concetta": "titti cettina",
    "carmela": "melina carmen",
    "margherita": "rita marghe",
    "maddalena": "lena",
    "caterina": "rina cate",
    "cristina": "cri",
    "simona": "simo",
    "simone": "simo",
    "andrea": "andre",
    "matteo": "teo",
    "umberto": "berto",
    "alberto": "berto albi",
    "edoardo": "edo",
    "ludovica": "ludo",
    "giulia": "giuly",
}
CITIES = (
    ("Roma", "001"), ("Milano", "201"), ("Napoli", "801"), ("Torino", "101"), ("Palermo", "901"), ("Genova", "161"),
    ("Bologna", "401"), ("Firenze", "501"), ("Bari", "701"), ("Catania", "951"), ("Venezia", "301"), ("Verona", "371"),
    ("Messina", "981"), ("Padova", "351"), ("Trieste", "341"), ("Brescia", "251"), ("Parma", "431"), ("Prato", "591"),
    ("Taranto", "741"), ("Modena", "411"), ("Perugia", "061"), ("Cagliari", "091"), ("Forlì", "471"), ("Cantù", "220"),
)  # fmt: skip
MAILS = (
    "gmail.example",
    "libero.example",
    "hotmail.example",
    "alice.example",
    "posta.example",
    "virgilio.example",
)
TRADES = ("Impianti", "Servizi", "Costruzioni", "Auto", "Viaggi")
KINDS = ("S.r.l.", "S.p.A.", "srl", "S.n.c.", "sas", "& C.", "Società a responsabilità limitata")
_NEAR = {
    a: b
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for a, b in zip(row, row[1:] + row[-2], strict=True)
}


@dataclass(slots=True)
class Record:
    """One row of a CRM; `person` says whose it is."""

    person: int
    first: str = ""
    last: str = ""
    email: str = ""
    phones: list[str] = field(default_factory=list)
    city: str = ""
    cap: str = ""
    company: str = ""
    tax_code: str = ""


class Italians:
    """A country to draw people from. `hard` has more errors in each second record and more who only look alike."""

    def __init__(self, seed: int = 2026, *, is_hard: bool = False) -> None:
        self.random = random.Random(seed)
        self.is_hard = is_hard
        stems, endings = WORDS["stems"], WORDS["endings"]
        built = [f"{stem}{middle}{ending}" for stem in stems for middle in MIDDLES for ending in endings]
        built = [
            f"{self.random.choice(BEFORE)}{name}" if self.random.random() < 0.1 else name for name in built
        ]
        self.random.shuffle(built)
        frequent = WORDS["surnames"]
        self.given = WORDS["given"]
        self.surnames = frequent + [name for name in dict.fromkeys(built) if name not in set(frequent)]
        self._given_weights = list(accumulate(1 / (rank + 8) for rank in range(len(self.given))))
        self._surname_weights = list(
            accumulate(1 / (rank + 40) ** 0.75 for rank in range(len(self.surnames)))
        )
        self._numbers = 0
        self._addresses: set[str] = set()

    @property
    def pool(self) -> tuple[int, int]:
        """Return how many given names and surnames there are to draw from."""
        return len(self.given), len(self.surnames)

    def records(self, many: int) -> list[Record]:
        """Return `many` records in no order."""
        made: list[Record] = []
        person = 0
        while len(made) < many:
            for human in self._household():
                human.person = person
                made.append(human)
                share = 0.24 if self.is_hard else 0.18
                while self.random.random() < share:
                    made.append(self._again(human))
                    share /= 2
                person += 1
        self.random.shuffle(made)
        return made[:many]

    def _household(self) -> list[Record]:
        first = self._human()
        kind = self.random.random()
        families, offices = (0.10, 0.05) if self.is_hard else (0.06, 0.03)
        if kind < families:
            others = [self._human(last=first.last) for _ in range(self.random.randint(1, 3))]
            for other in others:
                other.city, other.cap = first.city, first.cap
                if self.random.random() < 0.6:
                    other.phones = list(first.phones)
                if self.random.random() < 0.15:
                    other.email = first.email
            return self._distinct([first, *others])
        if kind < families + offices:
            firm = f"{self._surname().title()} {self.random.choice(TRADES)}"
            switchboard = self._landline(first.cap)
            address = f"info@{firm.lower().replace(' ', '').replace(chr(39), '')}.example"
            people = [first, *(self._human() for _ in range(self.random.randint(1, 6)))]
            for human in people:
                human.company = f"{firm} {self.random.choice(KINDS)}"
                human.city, human.cap = first.city, first.cap
                human.phones = [switchboard] if self.random.random() < 0.6 else [*human.phones, switchboard]
                if self.random.random() < 0.3:
                    human.email = address
            return self._distinct(people)
        return [first]

    def _distinct(self, people: list[Record]) -> list[Record]:
        """Nobody gives two children, nor an office two colleagues, the same names and the same ways to be reached."""
        return list({(human.first, human.last): human for human in people}.values())

    def _human(self, last: str = "") -> Record:
        first = self.random.choices(self.given, cum_weights=self._given_weights)[0]
        if self.random.random() < 0.05:
            first += " " + self.random.choices(self.given, cum_weights=self._given_weights)[0]
        last = last or self._surname()
        city, cap = self.random.choice(CITIES)
        human = Record(0, first.title(), last.title(), city=city, cap=cap + str(self.random.randint(10, 99)))
        human.phones = [self._mobile()] if self.random.random() < 0.93 else []
        if self.random.random() < 0.06:
            human.phones.append(self._landline(human.cap))
        if self.random.random() < 0.8 or not human.phones:
            human.email = self._email(first, last)
        if self.random.random() < 0.12:
            human.tax_code = self._tax_code(first, last)
        return human

    def _surname(self) -> str:
        return self.random.choices(self.surnames, cum_weights=self._surname_weights)[0]

    def _mobile(self) -> str:
        self._numbers += 1
        return f"3{self.random.randint(20, 93)}{self._numbers * 7919 % 10_000_000:07d}"

    def _landline(self, cap: str) -> str:
        return f"0{cap[0]}{self.random.randint(10_000_000, 99_999_999)}"

    def _email(self, first: str, last: str) -> str:
        plain = f"{first.split()[0]}{self.random.choice(('.', '', '_'))}{last}".replace(" ", "").replace(
            "'", ""
        )
        if self.random.random() < 0.75:
            plain += str(self.random.randint(1, 9999))
        address = f"{plain}@{self.random.choice(MAILS)}".lower()
        while address in self._addresses:  # nobody gets an address that somebody has
            address = f"{plain}{self.random.randint(10, 99_999)}@{self.random.choice(MAILS)}".lower()
        self._addresses.add(address)
        return address

    def _tax_code(self, first: str, last: str) -> str:
        letters = [c for c in (last + first).upper() if c.isascii() and c.isalpha() and c not in "AEIOU"]
        head = "".join((letters + ["X"] * 6)[:6])
        month, day = self.random.choice("ABCDEHLMPRST"), self.random.randint(1, 71)
        return f"{head}{self.random.randint(30, 99)}{month}{day:02d}H{self.random.randint(100, 999)}X"

    # Errors

    def _again(self, human: Record) -> Record:
        """Return a second record of a person, with what goes wrong between two visits."""
        chance = self.random.random
        worse = 1.6 if self.is_hard else 1.0
        twin = Record(
            human.person, human.first, human.last, human.email, list(human.phones), human.city, human.cap
        )
        twin.company, twin.tax_code = human.company, human.tax_code
        if chance() < 0.10 * worse:
            twin.first = self._nickname(twin.first)
        if chance() < 0.12 * worse:
            twin.first = self._slip(twin.first)
        if chance() < 0.12 * worse:
            twin.last = self._slip(twin.last)
        if chance() < 0.06 * worse:
            twin.first, twin.last = twin.last, twin.first
        if chance() < 0.03 * worse:
            twin.first, twin.last = f"{twin.first} {twin.last}", ""
        if " " in twin.first and chance() < 0.4:
            twin.first = twin.first.split()[0]
        if chance() < 0.02 * worse:
            twin.first = twin.first[:1] + "."
        if chance() < 0.5:
            twin.tax_code = ""
        if chance() < 0.3:
            twin.cap = ""
        if chance() < 0.15 * worse:
            twin.city, twin.cap = "", ""
        elif chance() < 0.04 * worse:
            twin.city, cap = self.random.choice(CITIES)
            twin.cap = cap + "10"
        if twin.company and chance() < 0.6:
            twin.company = f"{' '.join(twin.company.split()[:2])} {self.random.choice(KINDS)}".strip()
        self._lose_ways(twin, human, 0.16 * worse)
        if chance() < 0.1:
            twin.first, twin.last = twin.first.upper(), twin.last.upper()
        elif chance() < 0.1:
            twin.first, twin.last = twin.first.lower(), twin.last.lower()
        return twin

    def _lose_ways(self, twin: Record, human: Record, share: float) -> None:
        """Change or take away how the person is reached; something stays by which a colleague would know them."""
        chance = self.random.random
        if twin.phones and chance() < share:
            twin.phones = [self._mobile()] if chance() < 0.5 else []
        elif twin.phones and chance() < share / 2:
            twin.phones[0] = self._digits_slip(twin.phones[0])
        if twin.email and chance() < share * 1.5:
            twin.email = self._email(human.first.lower(), human.last.lower()) if chance() < 0.4 else ""
        elif twin.email and chance() < share / 2:
            twin.email = self._slip(twin.email.partition("@")[0]) + "@" + twin.email.partition("@")[2]
        if not (set(twin.phones) & set(human.phones)) and twin.email != human.email and chance() < 0.85:
            if human.phones:
                twin.phones = list(human.phones)
            else:
                twin.email = human.email

    def _nickname(self, first: str) -> str:
        head, _, rest = first.lower().partition(" ")
        if head not in NICKNAMES:
            return first
        return f"{self.random.choice(NICKNAMES[head].split())} {rest}".strip().title()

    def _slip(self, word: str) -> str:
        if len(word) < 3:
            return word
        at = self.random.randrange(1, len(word) - 1)
        kind = self.random.randrange(5)
        if kind == 0:
            return word[:at] + word[at + 1 :]
        if kind == 1:
            return word[:at] + word[at] + word[at:]
        if kind == 2:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        if kind == 3:
            return word[:at] + _NEAR.get(word[at].lower(), "e") + word[at + 1 :]
        return word[:at] + self.random.choice("aeiourtnls") + word[at:]

    def _digits_slip(self, number: str) -> str:
        at = self.random.randrange(3, len(number))
        return number[:at] + str(self.random.randrange(10)) + number[at + 1 :]


COLUMNS = ("first", "last", "email", "city", "cap", "company", "tax_code")


def write(many: int, path: str, *, seed: int, is_hard: bool) -> dict[str, Any]:
    """Write `many` records to a file as columns, and return the size of the pool their names come from."""
    country = Italians(seed, is_hard=is_hard)
    records = country.records(many)
    columns: dict[str, Any] = {name: [getattr(record, name) for record in records] for name in COLUMNS}
    columns["person"] = [record.person for record in records]
    columns["phones"] = [record.phones for record in records]
    Path(path).write_bytes(orjson.dumps(columns))
    return {"given": country.pool[0], "surnames": country.pool[1]}


def read(path: str) -> dict[str, Any]:
    """Return the columns of a file; a text that repeats is there once."""
    columns: dict[str, Any] = orjson.loads(Path(path).read_bytes())
    for name in COLUMNS:
        columns[name] = [sys.intern(text) for text in columns[name]]
    return columns


if __name__ == "__main__":
    asked = orjson.loads(sys.argv[1])
    print(
        orjson.dumps(
            write(asked["many"], asked["path"], seed=asked["seed"], is_hard=asked["is_hard"])
        ).decode()
    )
