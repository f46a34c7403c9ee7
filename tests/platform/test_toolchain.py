"""What makes a checkout runnable: locked, complete, and without an address of somebody's registry."""

import json
import re
from pathlib import Path

import pytest

import bootstrap

ROOT = Path(__file__).parent.parent.parent
LOCKS = ["requirements.lock", "requirements-runtime.lock", "requirements-bootstrap.lock"]


def pinned(name: str) -> dict[str, str]:
    """Return the version of each package in a lock file."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.M))


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_its_hashes_and_no_registry_is_named(name: str) -> None:
    text = (ROOT / name).read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert blocks
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text


def test_what_the_product_runs_on_is_what_it_is_tested_on() -> None:
    tested = pinned("requirements.lock")
    assert {name: tested.get(name) for name in pinned("requirements-runtime.lock")} == pinned(
        "requirements-runtime.lock"
    )


def test_front_end_packages_are_locked_by_hash_and_no_registry_is_named() -> None:
    packages = json.loads((ROOT / "frontend" / "package-lock.json").read_text())["packages"]
    ours = packages.pop("")
    assert ours["license"] == "EUPL-1.2"
    assert all("integrity" in package for package in packages.values() if not package.get("link"))
    assert not any("resolved" in package for package in packages.values())


def test_a_step_is_done_again_when_a_byte_of_its_inputs_changes(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_text("one")
    first = bootstrap.fingerprint([file])
    assert bootstrap.fingerprint([file]) == first
    file.write_text("two")
    assert bootstrap.fingerprint([file]) != first
    assert bootstrap.fingerprint([file, tmp_path / "missing"]) != bootstrap.fingerprint([file])


def test_an_environment_whose_interpreter_is_gone_is_made_anew(tmp_path: Path) -> None:
    assert not bootstrap.usable(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/nowhere/python3")
    assert not bootstrap.usable(tmp_path)


@pytest.mark.parametrize("target", ["demo", "up", "test", "check", "bench", "faults"])
def test_the_commands_of_the_readme_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)
