"""What the database's own catalogue says about the isolation of brands: asked at every start and by the doctor.

Row security fails silently: a table without it, a role that bypasses it or a view that runs as its owner shows every
brand's rows and raises nothing. So the catalogue is read, and the house does not start on a wrong answer.
"""

import psycopg

from filiera.platform.console import gettext as _

# Tables whose changes leave no line in audit_log, and why.
NOT_AUDITED = {
    "account_emailaddress": "of allauth: proving an address is an action of its own",
    "account_emailconfirmation": "of allauth, unused: links are in identity_authtoken",
    "audit_chain": "ends of the record's own chains",
    "audit_log": "is the record",
    "auth_group": "of Django, unused: roles are in identity_userrole",
    "auth_group_permissions": "of Django, unused: roles are in identity_userrole",
    "auth_permission": "of Django, written by migrations",
    "capture_ratelimitbucket": "a counter of the intake",
    "contacts_consent": "is itself evidence, which is only ever added to",
    "contacts_erasure": "is itself the record of an erasure",
    "contacts_importedcontact": "is itself the record of what an import did",
    "contacts_importfault": "what the machine found wrong in a file",
    "contacts_importpiece": "a file that waits to be brought in",
    "contacts_merge": "is itself the record of a merge; the rows that it changes are recorded",
    "contacts_suppression": "is itself evidence, which is only ever added to",
    "django_content_type": "of Django, written by migrations",
    "django_migrations": "of Django, written by migrations",
    "identity_authtoken": "links sent by e-mail, good once; what they let people do is recorded",
    "identity_googlestep": "a browser on its way to Google and back, for minutes",
    "identity_loginattempt": "is itself the record of tries to sign in",
    "identity_notification": "told by the machine, and read by the one it is for",
    "identity_outgoingemail": "written and sent by the machine; what caused a message is recorded",
    "identity_passkeystep": "a challenge that waits for a passkey, for minutes",
    "identity_session": "signing in and out are actions of their own",
    "identity_vaultversion": "is itself the record of master keys",
    "mfa_authenticator": "of allauth: holds used steps; turning it on and off are actions of their own",
    "platform_endpointhealth": "circuit breakers, kept by the machine",
    "platform_event": "is itself the record of what happened, written beside each change",
    "platform_jobrun": "signs of life and runs of jobs",
    "platform_received": "providers' messages as they came, never changed by people",
    "platform_requestbudget": "a counter of requests to providers",
    "platform_systemlog": "a copy of the log",
    "procrastinate_events": "the job queue",
    "procrastinate_jobs": "the job queue; what jobs change is recorded under their names",
    "procrastinate_periodic_defers": "the job queue",
    "procrastinate_workers": "the job queue",
    "routing_alert": "conditions the machine noticed",
    "routing_callattempt": "is itself the record of calls asked of the exchange",
    "routing_dailymetrics": "figures, computed again each minute",
    "routing_decision": "is itself the record of who was chosen and why",
    "routing_providercontact": "what the provider calls a number",
    "routing_registercheck": "is itself evidence, which is only ever added to",
    "socialaccount_socialaccount": "of allauth: linking a Google account is an action of its own",
    "socialaccount_socialapp": "of allauth, unused: the client is in the environment",
    "socialaccount_socialtoken": "of allauth, unused: tokens of Google are not kept",
    "workspace_bulkrow": "what a deed on many leads did to each; the changes themselves are recorded",
    "workspace_bulkrun": "a deed on many leads and how far it is; the changes themselves are recorded",
    "workspace_listchoice": "which columns somebody looks at",
    "routing_registerresult": "is itself evidence, which is only ever added to",
}

BRAND_POLICY = "(brand_id = (NULLIF(current_setting('app.brand_id'::text, true), ''::text))::uuid)"


class Unsafe(RuntimeError):
    """The database would show one brand another's rows; the message lists why."""


def refuse_unsafe(url: str) -> None:
    """Raise Unsafe when the role of `url` or a table it reaches does not keep brands apart."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        if found := faults(connection):
            raise Unsafe(
                _("Il database non tiene separati i marchi:") + "".join(f"\n- {fault}" for fault in found)
            )


def faults(connection: psycopg.Connection) -> list[str]:
    """Return a sentence for each thing that would let the connection's role see another brand's rows."""
    return [*_role(connection), *_tables(connection), *_views(connection), *_functions(connection)]


def definer_functions(connection: psycopg.Connection) -> set[str]:
    """Return the functions that run as their owner, beyond row security: the doors used before a brand is known."""
    return {
        name
        for (name,) in connection.execute(
            "select proname from pg_proc where prosecdef and pronamespace = 'public'::regnamespace"
        )
    }


def unaudited(connection: psycopg.Connection) -> list[str]:
    """Return the tables that people change and whose changes leave no line in audit_log, by name."""
    return [
        table
        for (table,) in connection.execute(
            """
            select relname from pg_class c
            where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and relname <> all (%s)
              and (select count(*) from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                   where t.tgrelid = c.oid and p.proname = 'identity_audit_change' and t.tgenabled in ('O', 'A')
                     and t.tgname = any ('{audit_insert,audit_update,audit_delete}')) < 3
            order by relname
            """,
            [list(NOT_AUDITED)],
        )
    ]


def _role(connection: psycopg.Connection) -> list[str]:
    found = []
    for name, rolsuper, bypasses in connection.execute(
        "select rolname, rolsuper, rolbypassrls from pg_roles"
        " where (rolsuper or rolbypassrls) and pg_has_role(current_user, oid, 'member')"
    ):
        what = _("è amministratore") if rolsuper else _("salta la sicurezza di riga") if bypasses else ""
        found.append(
            _("chi esegue Filiera è o può diventare il ruolo %(role)s, che %(what)s")
            % {"role": name, "what": what}
        )
    owned = connection.execute(
        "select count(*) from pg_class where relkind in ('r', 'p') and pg_has_role(current_user, relowner, 'member')"
        " and relnamespace = 'public'::regnamespace"
    ).fetchone()
    if owned and owned[0]:
        found.append(_("chi esegue Filiera possiede %(tables)s tabelle") % {"tables": owned[0]})
    return found


def _tables(connection: psycopg.Connection) -> list[str]:
    found = []
    for table, enabled, forced, policies in connection.execute(
        """
        select relname, relrowsecurity, relforcerowsecurity,
               coalesce((select array_agg(coalesce(pg_get_expr(polqual, polrelid), '') || ' / '
                                          || coalesce(pg_get_expr(polwithcheck, polrelid), ''))
                         from pg_policy where polrelid = c.oid and polpermissive), '{}')
        from pg_class c
        join pg_attribute on attrelid = c.oid and attname = 'brand_id' and not attisdropped
        where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace
        order by relname
        """
    ):
        if not (enabled and forced):
            found.append(_("la tabella %(table)s non impone la sicurezza di riga") % {"table": table})
        elif policies != [f"{BRAND_POLICY} / {BRAND_POLICY}"]:
            found.append(
                _("la tabella %(table)s non ha la regola dei marchi, o ne ha un’altra") % {"table": table}
            )
    return found


def _views(connection: psycopg.Connection) -> list[str]:
    """A view reads as its owner unless it says otherwise; a materialised one holds everybody's rows."""
    return [
        _("la vista %(view)s mostra i dati di tutti i marchi") % {"view": view}
        for (view,) in connection.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and (relkind = 'm'"
            " or relkind = 'v' and not coalesce(reloptions::text like '%security_invoker=true%', false))"
            " order by relname"
        )
    ]


def _functions(connection: psycopg.Connection) -> list[str]:
    """A function that runs as its owner and finds its tables by the caller's path can be led elsewhere."""
    return [
        _("la funzione %(name)s gira da proprietaria senza un percorso fisso, o per chiunque")
        % {"name": name}
        for (name,) in connection.execute(
            "select proname from pg_proc where prosecdef and pronamespace = 'public'::regnamespace and"
            " (not coalesce(proconfig::text like '%search_path=%', false)"
            "  or exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0))"
            " order by proname"
        )
    ]
