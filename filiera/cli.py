"""The `filiera` command."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from filiera import serving
from filiera.platform import backup, catalogue, database, supervisor
from filiera.platform import home as homes
from filiera.platform.console import gettext as _
from filiera.platform.console import say


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 1 when it could not be done, 2 when it was not understood."""
    options = _parser().parse_args(arguments)
    supervisor.end_with_supervisor()
    run: Callable[[argparse.Namespace], int | None] = options.run
    try:
        return run(options) or 0
    except (serving.CannotStart, catalogue.Unsafe, database.DatabaseTrouble, backup.BackupTrouble) as trouble:
        say(str(trouble))
        return 1
    except KeyboardInterrupt:
        return 130


def _up(options: argparse.Namespace) -> None:
    home = homes.folder()
    host, port = serving.address()
    # In a terminal a person reads what we say; a service manager collects the processes' own lines.
    logs = homes.subfolder(home, "logs") if sys.stdout.isatty() else None

    def ready() -> None:
        say(
            _("Filiera risponde su http://%(host)s:%(port)s. Per fermarla: Ctrl-C.")
            % {"host": host, "port": port}
        )
        if logs:
            say(_("I registri sono in %(folder)s.") % {"folder": logs})

    serving.up(home, logs=logs, on_ready=ready)
    say(_("Filiera si è fermata."))


def _web(options: argparse.Namespace) -> None:
    serving.web()


def _worker(options: argparse.Namespace) -> None:
    serving.worker()


def _phones(options: argparse.Namespace) -> None:
    serving.phones()


def _jobs(options: argparse.Namespace) -> None:
    serving.jobs()


def _migrate(options: argparse.Namespace) -> None:
    serving.migrate(verbosity=0 if options.quiet else 1)


def _simulators(options: argparse.Namespace) -> None:
    import runpy

    sys.argv = ["filiera.simulators"]
    runpy.run_module("filiera.simulators", run_name="__main__")


def _demo(options: argparse.Namespace) -> None:
    from filiera import demo

    demo.run(traffic=options.traffic)


def _code(options: argparse.Namespace) -> int:
    from filiera.identity import totp

    try:
        say(totp.code_now(options.secret))
    except ValueError:
        say(_("Questa non è la chiave di un secondo passaggio."))
        return 2
    return 0


def _backup(options: argparse.Namespace) -> None:
    backup.run_backup(options.folder)


def _restore(options: argparse.Namespace) -> None:
    if options.stamp is None:
        backup.list_backups(options.folder)
        return
    with serving.only_one(homes.folder()):
        backup.run_restore(options.folder, options.stamp)
        # Who was erased since the backup was made is in it again: first the schema of today, then their erasure.
        serving.migrate(verbosity=0)
        from filiera import operators

        operators.erase_again(options.folder or homes.subfolder(homes.folder(), "backups"))


def _gdpr_export(options: argparse.Namespace) -> int:
    database.ensure(homes.folder())
    from filiera import operators

    return operators.export_person(slug=options.brand, person=options.person, file=options.file)


def _gdpr_retention(options: argparse.Namespace) -> int:
    database.ensure(homes.folder())
    from filiera import operators

    return operators.show_retention(slug=options.brand)


def _gdpr_erase(options: argparse.Namespace) -> int:
    database.ensure(homes.folder())
    from filiera import operators

    return operators.erase_person(slug=options.brand, person=options.person, is_sure=options.yes)


def _register_list(options: argparse.Namespace) -> int:
    database.ensure(homes.folder())
    from filiera import operators

    return operators.list_numbers_to_check(slug=options.brand)


def _register_import(options: argparse.Namespace) -> int:
    database.ensure(homes.folder())
    from filiera import operators

    return operators.take_register_check(slug=options.brand, file=options.file, checked=options.checked)


def _doctor(options: argparse.Namespace) -> int:
    from filiera.platform import doctor

    host, port = serving.address()
    return doctor.run(host=host, port=port, set_up_rooms=serving.set_up_django)


def _brand(options: argparse.Namespace) -> int:
    database.ensure(homes.folder())
    from filiera import operators

    return operators.open_brand(
        name=options.name,
        slug=options.slug,
        owner_email=options.owner,
        owner_name=options.owner_name,
        over_all=options.over_all,
    )


def _telephony(options: argparse.Namespace) -> int:
    database.ensure(homes.folder())
    from filiera import operators

    return operators.connect_cloudtalk(slug=options.slug, base_url=options.base_url)


def _vault_rotate(options: argparse.Namespace) -> int:
    database.ensure(homes.folder())
    from filiera import operators

    return operators.rotate_vault()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="filiera", description=_("Dal primo contatto ai soldi in banca, per le piccole imprese.")
    )
    commands = parser.add_subparsers(title=_("comandi"), required=True, metavar="")

    def command(
        name: str, run: Callable[[argparse.Namespace], int | None], about: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(run=run)
        return added

    command("up", _up, _("avvia tutto su questa macchina e lo tiene in piedi"))
    command("web", _web, _("solo il server web"))
    command("worker", _worker, _("solo chi smaltisce contatti e lavori"))
    command("phones", _phones, _("solo le telefonate: lo avvia il worker, accanto a sé"))
    command("jobs", _jobs, _("solo i lavori: lo avvia il worker, accanto a sé"))
    command("simulators", _simulators, _("i fornitori simulati, per prove e dimostrazione"))
    migrate = command("migrate", _migrate, _("prepara ruoli e schema del database"))
    migrate.add_argument("--quiet", action="store_true", help=_("parla solo se qualcosa non va"))
    demo = command("demo", _demo, _("avvia tutto con dati inventati"))
    demo.add_argument(
        "--traffic", action="store_true", help=_("con un flusso continuo di contatti inventati")
    )
    code = command("code", _code, _("dice il codice di un secondo passaggio, come l’app di verifica"))
    code.add_argument("secret", help=_("la chiave, in base 32"))
    backup_ = command("backup", _backup, _("salva una copia cifrata del database"))
    backup_.add_argument("--folder", type=Path, help=_("dove (di norma la cartella backups dei dati)"))
    restore = command("restore", _restore, _("rimette una copia in un’installazione vuota"))
    restore.add_argument("stamp", nargs="?", help=_("quale, per esempio 20260110_031500; senza, le elenca"))
    restore.add_argument("--folder", type=Path, help=_("dove cercarle"))
    brand = command("brand", _brand, _("crea un marchio e chi lo amministra"))
    brand.add_argument("name", help=_("il nome, come lo leggono le persone"))
    brand.add_argument("--slug", default="", help=_("il nome negli indirizzi (di norma ricavato dal nome)"))
    brand.add_argument("--owner", required=True, metavar="EMAIL", help=_("l’e-mail di chi lo amministra"))
    brand.add_argument("--owner-name", default="", help=_("come si chiama"))
    brand.add_argument(
        "--over-all", action="store_true", help=_("amministra anche l’installazione: apre e guarda i marchi")
    )
    telephony = command("telephony", _telephony, _("collega un marchio al suo account CloudTalk"))
    telephony.add_argument("slug", help=_("il nome del marchio negli indirizzi"))
    telephony.add_argument("--base-url", default="", help=_("un altro indirizzo delle API, per le prove"))
    vault = command("vault", _vault_rotate, _("la cassaforte delle chiavi"))
    vault.add_argument(
        "action",
        choices=["rotate"],
        help=_("rotate: cambia la chiave madre, mentre tutto continua a lavorare"),
    )
    gdpr = commands.add_parser("gdpr", help=_("i diritti delle persone: copia dei dati, cancellazione"))
    rights = gdpr.add_subparsers(title=_("comandi"), required=True, metavar="")
    for name, run, about in (
        ("export", _gdpr_export, _("tutto quello che c’è su una persona, in un file ZIP")),
        ("erase", _gdpr_erase, _("cancella una persona da ogni tabella e file, e stampa il verbale")),
    ):
        right = rights.add_parser(name, help=about, description=about)
        right.set_defaults(run=run)
        right.add_argument("--brand", required=True, help=_("il nome del marchio negli indirizzi"))
        right.add_argument("--person", required=True, help=_("identificativo, e-mail o telefono"))
        if name == "export":
            right.add_argument("--file", type=Path, help=_("dove scrivere (di norma qui)"))
        else:
            right.add_argument("--yes", action="store_true", help=_("senza chiedere conferma"))
    terms = rights.add_parser(
        "retention", help=_("quanto a lungo si conserva che cosa, e che cosa è già andato")
    )
    terms.set_defaults(run=_gdpr_retention)
    terms.add_argument("--brand", required=True, help=_("il nome del marchio negli indirizzi"))
    register = commands.add_parser("register", help=_("le verifiche nel Registro pubblico delle opposizioni"))
    checks = register.add_subparsers(title=_("comandi"), required=True, metavar="")
    to_check = checks.add_parser("list", help=_("i numeri da far verificare, uno per riga"))
    to_check.set_defaults(run=_register_list)
    taken = checks.add_parser(
        "import", help=_("legge gli esiti di una verifica: numero, iscritto o non iscritto")
    )
    taken.set_defaults(run=_register_import)
    taken.add_argument("file", type=Path, help=_("il file con gli esiti"))
    taken.add_argument(
        "--checked", required=True, help=_("quando è stata fatta, per esempio 2026-11-20T10:00")
    )
    for one in (to_check, taken):
        one.add_argument("--brand", required=True, help=_("il nome del marchio negli indirizzi"))
    command("doctor", _doctor, _("controlla l’installazione e dice cosa sistemare"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
