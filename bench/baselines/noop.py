"""The least that a POST can do on our web server: read the body, answer."""

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope

ANSWER = b'{"success":true}'


async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})  # type: ignore[misc, arg-type]
            if message["type"] == "lifespan.shutdown":
                return
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))],
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": ANSWER, "more_body": False})
