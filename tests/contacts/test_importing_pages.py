"""The wizard of imports and its door in the API (UI-36 … UI-41, contacts.md 3)."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from filiera.contacts.importing import files
from filiera.contacts.models import Consent, Contact, ContactPhone, ImportFault, ImportRun
from filiera.identity.models import AuditEntry
from filiera.platform import brand_scope, live

LIST = """Nome;Cognome;Cellulare;E-mail;Città;Colore
Adele;Brunetti;+39 351 000 4127;adele.brunetti@posta.example;Noale;blu
Nino;Zanin;041 000 2290;;Mestre;
=1+1;Formula;;;Mira;rosso
"""
ORIGIN = {"basis": "own", "collected_by": "Sportello", "collected_on": "2025-03-01"}


def sent(text: str = LIST, name: str = "clienti.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode(), content_type="text/csv")


@pytest.fixture
def ada_in(signed_in: Any, ada: Any) -> Any:
    return signed_in(ada)


def test_the_whole_way_from_the_file_to_the_undo(ada_in: Any, vegliasi: Any, run_jobs: Any) -> None:
    page = ada_in.post("/leads/importa/file", {"file": sent()}, follow=True)
    assert "Come si legge il file" in page.content.decode()
    with brand_scope.use(vegliasi.id):
        run = ImportRun.objects.get()
    at = f"/leads/importa/{run.pk}"
    read = {"delimiter": ";", "encoding": "utf-8", "date_order": "dmy", "decimal": ",", "has_header": "on"}
    page = ada_in.post(f"{at}/lettura", read, follow=True).content.decode()
    assert "1 colonna non entra:" in page
    assert "Colore" in page
    columns = {f"column-{place}": name for place, name in run.mapping.items()}
    page = ada_in.post(f"{at}/colonne", {**columns, "match": "phone_email"}, follow=True).content.decode()
    assert "Da dove vengono queste persone" in page
    refused = ada_in.post(f"{at}/origine", {"basis": "own"})
    assert refused.status_code == 400
    ada_in.post(f"{at}/origine", {**ORIGIN, "consent": "no"})
    run_jobs()
    page = ada_in.get(at).content.decode()
    assert "Importa 2 righe" in page
    assert "Manca un telefono o un’e-mail" in page
    ada_in.post(f"{at}/avvia")
    run_jobs()
    assert "Annulla l’importazione" in ada_in.get(at).content.decode()
    with brand_scope.use(vegliasi.id):
        assert Contact.objects.count() == 2
    mended = ada_in.get(f"{at}/da-correggere").content.decode()
    assert mended.splitlines()[1].startswith("'=1+1;Formula;")
    assert "Manca un telefono" in mended
    ada_in.post(f"{at}/annulla")
    run_jobs()
    with brand_scope.use(vegliasi.id):
        assert not Contact.objects.filter(deleted_at=None).exists()
        assert AuditEntry.objects.filter(action="EXPORT", entity_type="imports").exists()
    assert "Annullata" in ada_in.get("/leads/importa").content.decode()


def test_the_next_file_with_the_same_titles_is_read_as_the_first(ada_in: Any, vegliasi: Any) -> None:
    """UI-37."""
    ada_in.post("/leads/importa/file", {"file": sent()})
    with brand_scope.use(vegliasi.id):
        run = ImportRun.objects.get()
    columns = {f"column-{place}": name for place, name in {**run.mapping, "5": "note"}.items()}
    ada_in.post(f"/leads/importa/{run.pk}/colonne", {**columns, "match": "phone", "policy-city": "overwrite"})
    ada_in.post("/leads/importa/file", {"file": sent(LIST.replace("Noale", "Dolo"))})
    with brand_scope.use(vegliasi.id):
        second = ImportRun.objects.order_by("-created_at").first()
    assert second.mapping["5"] == "note"
    assert second.rules["match"] == "phone"
    assert second.rules["policies"]["city"] == "overwrite"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b"", "vuoto"),
        ("a.csv", b"\x7fELF\x02\x01\x00\x00\x00\x00", "elenco"),
        ("a.xlsx", b"PK\x03\x04 e poi niente", "non si apre"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "vecchio"),
    ],
)
def test_what_is_no_list_is_refused_with_the_reason(
    ada_in: Any, vegliasi: Any, name: str, content: bytes, why: str
) -> None:
    answer = ada_in.post("/leads/importa/file", {"file": SimpleUploadedFile(name, content)})
    assert answer.status_code == 400
    assert why in answer.content.decode()
    with brand_scope.use(vegliasi.id):
        assert not ImportRun.objects.exists()


def test_the_import_of_the_api_answers_with_counts_and_rows(ada_in: Any, vegliasi: Any) -> None:
    given = {"file": sent(), **ORIGIN, "text": "Acconsento alle promozioni per telefono", "proof": "moduli"}
    trial = ada_in.post("/api/v1/leads/import?dryRun=true", given).json()["data"]
    with brand_scope.use(vegliasi.id):
        assert not Contact.objects.exists()
        assert not ImportRun.objects.exists()
    told = ada_in.post("/api/v1/leads/import", {**given, "file": sent()}).json()["data"]
    for answer in (trial, told):
        assert (answer["rows"], answer["created"], answer["updated"], answer["skipped"]) == (3, 2, 0, 1)
        assert [(one["row"], one["field"]) for one in answer["errors"]] == [(4, "")]
    with brand_scope.use(vegliasi.id):
        assert Consent.objects.filter(purpose="marketing", channel="call", given=True).count() == 2
    assert ada_in.get(f"/api/v1/leads/imports/{told['id']}").json()["data"]["created"] == 2


def test_the_api_refuses_what_is_not_said_or_makes_no_sense(ada_in: Any, vegliasi: Any) -> None:
    assert ada_in.post("/api/v1/leads/import", {"file": sent()}).status_code == 400
    wrong = {"file": sent(), **ORIGIN, "mapping": json.dumps({"Colore": "nessun-campo"})}
    assert ada_in.post("/api/v1/leads/import", wrong).status_code == 400
    mapped = {"file": sent(), **ORIGIN, "mapping": json.dumps({"Colore": "note", "Città": ""})}
    assert ada_in.post("/api/v1/leads/import", mapped).status_code == 200
    with brand_scope.use(vegliasi.id):
        adele = Contact.objects.get(first_name="Adele")
    assert (adele.city, adele.notes) == ("", "Colore: blu")


def test_a_large_file_of_the_api_goes_on_in_the_background(
    ada_in: Any, vegliasi: Any, run_jobs: Any, monkeypatch: Any
) -> None:
    from filiera.contacts.importing import api

    monkeypatch.setattr(api, "MOST_AT_ONCE", 1)
    answer = ada_in.post("/api/v1/leads/import", {"file": sent(), **ORIGIN})
    assert answer.status_code == 202
    run_jobs()
    told = ada_in.get(f"/api/v1/leads/imports/{answer.json()['data']['id']}").json()["data"]
    assert (told["status"], told["created"]) == ("done", 2)


def test_sellers_neither_see_nor_start_imports(signed_in: Any, bea: Any, vegliasi: Any) -> None:
    client = signed_in(bea)
    assert client.get("/leads/importa").status_code == 404
    assert client.post("/leads/importa/file", {"file": sent()}).status_code == 404
    assert client.post("/api/v1/leads/import", {"file": sent(), **ORIGIN}).status_code == 403


def test_a_spreadsheet_is_read_like_a_csv(ada_in: Any, vegliasi: Any) -> None:
    file = SimpleUploadedFile(
        "clienti.xlsx", sheet([["Nome", "Telefono", "Data"], ["Adele", 3510004127, 45_658]])
    )
    told = ada_in.post("/api/v1/leads/import", {"file": file, **ORIGIN}).json()["data"]
    assert told["created"] == 1
    with brand_scope.use(vegliasi.id):
        assert ContactPhone.objects.get().phone_e164 == "+393510004127"
        assert list(ImportFault.objects.values_list("code", flat=True)) == ["date"]


FAR = "<row r='1'><c r='A1'><v>1</v></c></row><row r='1048576'>%s<v>2</v></c></row>"


@pytest.mark.parametrize(
    "corner", ['<c r="XFD1048576">', '<c s="1" r = "xfd1048576">', "<c><v>1</v></c>" * 16_000 + "<c>"]
)
def test_a_small_spreadsheet_with_a_cell_far_away_is_refused_before_room_is_made_for_it(
    ada_in: Any, vegliasi: Any, corner: str
) -> None:
    file = SimpleUploadedFile("lontano.xlsx", sheet([], rows=FAR % corner))
    answer = ada_in.post("/leads/importa/file", {"file": file})
    assert (answer.status_code, "aperto, è enorme" in answer.content.decode()) == (400, True)


def test_a_tall_spreadsheet_whose_cells_say_no_place_is_read() -> None:
    lines = [["Nome", "Telefono", "Città"], *(["Adele", 3510004127, "Noale"] for _row in range(2_000))]
    [piece] = files.pieces_of_sheet(io.BytesIO(sheet(lines)))
    assert piece.count(b"\n") == 2_001


def sheet(lines: list[list[Any]], *, rows: str = "") -> bytes:
    """Return the smallest spreadsheet that holds these cells, or these rows as they are written."""
    import zipfile

    def cell(value: Any) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        packed.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        packed.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="A" sheetId="1" r:id="r1"/></sheets>'
            "</workbook>",
        )
        packed.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
        )
        rows = rows or "".join(f"<row>{''.join(map(cell, line))}</row>" for line in lines)
        packed.writestr(
            "xl/worksheets/sheet1.xml", f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>'
        )
    return out.getvalue()


def test_a_spreadsheet_that_unpacks_to_more_than_it_may_is_refused(
    ada_in: Any, vegliasi: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(files, "LARGEST_UNPACKED", 100_000)
    bomb = sheet([["a" * 1_000] for _row in range(200)])
    assert len(bomb) < 10_000
    answer = ada_in.post("/leads/importa/file", {"file": SimpleUploadedFile("a.xlsx", bomb)})
    assert answer.status_code == 400
    assert "enorme" in answer.content.decode()


def test_pages_hear_of_every_topic_that_is_announced() -> None:
    """A stream's events have names, and a page listens to those it knows."""
    script = Path(__file__).parent.parent.parent / "frontend" / "src" / "js" / "shell" / "live.js"
    known = re.search(r"const known = \[(.*)\];", script.read_text())
    assert known
    assert set(json.loads(f"[{known[1]}]")) >= set(live.TOPICS)
