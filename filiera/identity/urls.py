from django.urls import URLPattern, URLResolver, path

from filiera.identity import keys_api, pages, pages_audit, pages_keys, pages_people

urlpatterns: list[URLPattern | URLResolver] = [
    path("login", pages.sign_in, name="login"),
    path("logout", pages.sign_out, name="logout"),
    path("login/language", pages.choose_language, name="guest-language"),
    path("registro", pages_audit.show, name="audit"),
    path("registro/export", pages_audit.export, name="audit-export"),
    path("invito/<str:token>", pages_people.invitation, name="invitation"),
    path("utenti", pages_people.show_all, name="people"),
    path("utenti/invita", pages_people.invite, name="people-invite"),
    path("utenti/inviti/<uuid:invitation_id>/ritira", pages_people.withdraw, name="people-withdraw"),
    path("utenti/permessi", pages_people.grant, name="people-grant"),
    path("utenti/<uuid:user_id>", pages_people.show, name="person"),
    path("utenti/<uuid:user_id>/ruoli", pages_people.set_roles, name="person-roles"),
    path("utenti/<uuid:user_id>/accesso", pages_people.switch, name="person-switch"),
    path("utenti/<uuid:user_id>/sessioni", pages_people.end_sessions, name="person-sessions"),
    path("developers/api-keys", pages_keys.keys, name="api-keys"),
    path("developers/api-keys/new", pages_keys.new, name="api-key-new"),
    path("developers/api-keys/<uuid:key_id>", pages_keys.replace, name="api-key-replace"),
    path("developers/api-keys/<uuid:key_id>/switch", pages_keys.switch, name="api-key-switch"),
    path("developers/api-keys/access/new", pages_keys.new_access, name="access-key-new"),
    path("developers/api-keys/access/<uuid:key_id>/revoke", pages_keys.revoke, name="access-key-revoke"),
    path("api/api-keys", keys_api.historic_keys),
    path("api/api-keys/<uuid:key_id>", keys_api.historic_key),
]
