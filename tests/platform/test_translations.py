"""Every Italian sentence has its English, found in code and templates, with its placeholders."""

from pathlib import Path

import pytest

from filiera.platform import translations


def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalog: str, **files: str) -> None:
    filiera = tmp_path / "filiera"
    target = filiera / "room"
    (target / "templates").mkdir(parents=True)
    (target / "__init__.py").touch()
    for name, text in files.items():
        path = target / ("page.py" if name == "python" else "templates/page.html")
        path.write_text(text)
    po = target / translations.CATALOG
    po.parent.mkdir(parents=True)
    po.write_text('msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n' + catalog)
    monkeypatch.setattr(translations, "FILIERA", filiera)


def test_sentences_of_code_and_templates_without_english_are_named_with_their_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room(
        tmp_path,
        monkeypatch,
        'msgid "Conosciuta"\nmsgstr "Known"\n',
        python='from x import gettext as _\n\n_("Conosciuta")\n_("Nuova")\n',
        html='<p title="l\'età">\n{% translate "Nuova" %}\n {% blocktranslate %}Ciao {{ name }}{% endblocktranslate %}',
    )
    found = [fault.split(": ", 1)[0] for fault in translations.faults()]
    assert found == [
        "filiera/room/page.py:4",
        "filiera/room/templates/page.html:2",
        "filiera/room/templates/page.html:3",
    ]


def test_an_english_sentence_that_lost_its_placeholder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room(
        tmp_path,
        monkeypatch,
        'msgid "Mancano %(n)s cifre"\nmsgstr "Digits are missing"\n',
        python='_("Mancano %(n)s cifre")\n',
    )
    assert len(list(translations.faults())) == 1


def test_compiled_catalogs_speak_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room(tmp_path, monkeypatch, 'msgid "Sì"\nmsgstr "Yes"\n')
    assert translations.compile_all() == 1
    import gettext

    with (tmp_path / "filiera/room" / translations.CATALOG.with_suffix(".mo")).open("rb") as compiled:
        assert gettext.GNUTranslations(compiled).gettext("Sì") == "Yes"


def test_every_sentence_of_the_house_has_its_english() -> None:
    assert list(translations.faults()) == []
