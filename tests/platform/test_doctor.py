"""The doctor says what works and what to do about what does not."""

import http.server
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from filiera import cli
from filiera.platform import brand_scope, doctor
from filiera.platform.models import JobRun


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home of its own; the database is the test's."""
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("FILIERA_HOME", str(path))
    monkeypatch.setenv("FILIERA_LANG", "it")
    return path


@pytest.fixture
def stranger() -> Iterator[int]:
    """Return the port of a program that is not Filiera."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def findings(port: int = 1) -> list[doctor.Finding]:
    return list(doctor.examine(host="127.0.0.1", port=port, set_up_rooms=lambda: None))


def about(word: str, found: list[doctor.Finding]) -> doctor.Finding:
    (finding,) = (finding for finding in found if word in finding.sentence)
    return finding


@pytest.mark.django_db
def test_a_sound_installation_that_is_switched_off_has_only_warnings(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = findings()
    assert all(finding.is_fine or finding.is_warning for finding in found), found
    assert about("La porta 1 è libera", found).is_fine
    assert about("I marchi sono separati", found).is_fine
    assert about("Schema aggiornato", found).is_fine
    assert about("worker non è mai partito", found).remedy.startswith("Avvia filiera up")
    assert cli.main(["doctor"]) == 0
    assert "Tutto a posto." in capsys.readouterr().out


@pytest.mark.django_db
def test_answers_come_in_english_to_who_reads_english(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FILIERA_LANG", "en")
    assert cli.main(["doctor"]) == 0
    assert "The database keeps the brands apart" in capsys.readouterr().out


@pytest.mark.django_db
def test_a_port_taken_by_another_program_fails(home: Path, stranger: int) -> None:
    finding = about(str(stranger), findings(stranger))
    assert not finding.is_fine
    assert "FILIERA_PORT" in finding.remedy


@pytest.mark.django_db
def test_a_home_that_others_can_read_fails(home: Path) -> None:
    home.chmod(0o755)
    finding = about("Altri utenti", findings())
    assert finding.remedy.startswith("chmod 700")


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_fell_silent_is_told_with_its_last_sign_of_life(home: Path) -> None:
    moment = timezone.now() - timedelta(hours=1)
    run = JobRun.objects.create(name="worker a:1", started_at=moment, finished_at=moment, status="alive")
    try:
        assert about("segni di vita", findings()).is_warning
    finally:
        run.delete()


def test_a_database_that_does_not_answer_fails_with_what_to_check(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILIERA_PLATFORM_DATABASE_URL", f"postgresql://nobody@/x?host={home}")
    finding = about("Il database non risponde", findings())
    assert not finding.is_fine
    assert "DATABASE_URL" in finding.remedy


@pytest.mark.django_db(transaction=True)
def test_a_vault_that_does_not_open_is_found_before_the_first_call(
    home: Path, vegliasi: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filiera.identity import vault
    from filiera.identity.models import Brand, VaultKey

    brand = Brand.objects.get()
    with brand_scope.use(brand.id):
        vault.store(service="cloudtalk", secret="un segreto")
    try:
        assert about("si aprono", findings()).is_fine
        monkeypatch.setenv("ENCRYPTION_MASTER_KEY", "another")
        assert not about("non si aprono", findings()).is_fine
    finally:
        with brand_scope.use(brand.id):
            VaultKey.objects.all().delete()
