"""Invented people for the demo: Italian names, towns, and phones of the +39 351 000 block. Nobody real."""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass

GIVEN = """
Adalgisa Alvise Amerigo Annamaria Argia Baldassarre Bianca Brando Cesira Clelia Cosimo Demetrio
Desideria Duilio Edvige Elettra Ersilia Ettore Fabrizia Fiorella Fosco Gaspare Gemma Gilda
Guendalina Ippolita Isotta Lando Lavinia Leandro Libero Lidia Loredana Ludovica Manfredi Mirta
Nicolò Niccolò Noemi Norma Oreste Orsola Ottavio Palmira Petra Primo Quirino Renzo Romilda Rosalba
Saverio Selvaggia Smeralda Tancredi Teresita Ubaldo Umberta Vasco Velia Viola Zelda Zeno
"""
FAMILY = """
Acquistapace, Bevilacqua, Boscarato, Brambilla Conti, Calzavara, Carbonetti, Cerrone, Cipollaro,
D'Amico, D'Orazio, Dall'Ò, De Santis, Degl'Innocenti, Della Bella, Di Nardo, Fantinel, Fumagalli,
Galimberti, Gozzi, Ingrao, La Placa, Lo Presti, Maddalozzo, Malavasi, Mezzanotte, Morbidelli,
Nardulli, Occhipinti, Pappalardo, Passalacqua, Però, Quaglieri, Rebaudengo, Sanfilippo,
Scognamiglio, Squarcialupi, Tedeschini, Torregrossa, Vanzetti, Zanobini, Zuccalà
"""
FIRST_NAMES = GIVEN.split()
LAST_NAMES = [name.strip() for name in FAMILY.replace("\n", " ").split(",")]
TOWNS = (
    ("Bologna", "BO", "40121"),
    ("San Lazzaro di Savena", "BO", "40068"),
    ("Forlì", "FC", "47121"),
    ("Cefalù", "PA", "90015"),
    ("Bari", "BA", "70123"),
    ("Verona", "VR", "37121"),
    ("Aosta", "AO", "11100"),
    ("Cantù", "CO", "22063"),
    ("Reggio Calabria", "RC", "89125"),
    ("Sant'Angelo in Vado", "PU", "61048"),
    ("Trieste", "TS", "34121"),
    ("Nuoro", "NU", "08100"),
)
NOTES = (
    "Vorrei essere richiamato nel pomeriggio.",
    "È per mia madre, vive da sola.",
    "Quanto costa l'installazione?",
    "Ho già un impianto, va adeguato.",
    "Preferisco WhatsApp, grazie 🙂",
    "Ci siamo già sentiti a settembre.",
    "",
    "",
)


@dataclass(frozen=True, slots=True)
class Person:
    first_name: str
    last_name: str
    email: str
    phone: str  # E.164
    city: str
    province: str
    cap: str

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


def invent(chance: random.Random) -> Person:
    first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
    number = chance.randrange(10_000)
    mailbox = "".join(c for c in _unaccented(f"{first}.{last}").lower() if c.isalnum() or c == ".")
    city, province, cap = chance.choice(TOWNS)
    return Person(
        first, last, f"{mailbox}{number % 100}@posta.example", f"+39351000{number:04d}", city, province, cap
    )


def _unaccented(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
