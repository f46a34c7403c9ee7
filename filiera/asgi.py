"""The root of the web process: what is hot or long lives in the event loop, everything else is Django in threads."""

from a2wsgi import WSGIMiddleware

from filiera.wsgi import application as django  # first: it sets Django up

from filiera.capture.accept import AcceptPath  # isort: skip
from filiera.journeys.ghl import NewContactDoor  # isort: skip
from filiera.platform.bodies import Bodies  # isort: skip
from filiera.routing.webhooks import EventDoor  # isort: skip
from filiera.workspace.live import application as live  # isort: skip
from asgiref.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, Scope  # isort: skip

accept = AcceptPath()
new_contact = NewContactDoor(accept)
events = EventDoor()
django_in_threads = WSGIMiddleware(django, workers=10)  # type: ignore[arg-type]


async def _pages(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    async def read() -> ASGIReceiveEvent:  # a2wsgi wants a coroutine where granian gives another awaitable
        return await receive()

    return await django_in_threads(scope, read, send)  # type: ignore[arg-type]


pages = Bodies(_pages, files={"/leads/importa/file", "/api/v1/leads/import"})


async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Send a request to the first that handles its path."""
    if scope["type"] == "lifespan":
        await accept.lifespan(receive, send)
        return await events.close()
    if scope["type"] != "http":
        return None
    path = scope["path"]
    if new_contact.handles(path):
        return await new_contact(scope, receive, send)
    if accept.handles(path):
        return await accept(scope, receive, send)
    if events.handles(path):
        return await events(scope, receive, send)
    if path == "/live":
        return await live(scope, receive, send)
    return await pages(scope, receive, send)
