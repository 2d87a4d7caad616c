"""Failures that no endpoint answers, told in the shape of the API that was called. Knows FastAPI; decides nothing.

Key, size, path and method fail before an endpoint is found; FastAPI's own failures leave here, too.
"""

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import Message, Send

from app.dataplane.client import Client, ClientGone
from app.dataplane.headers import lines_of
from app.error_shape import error_body
from app.errors import BadRequest, GatewayError, MethodNotAllowed, NotFound
from app.ids import request_id

log = logging.getLogger("thinkgate")


def one_error_shape(api: FastAPI) -> None:
    """Every failure inside FastAPI leaves in the API's own shape, never as `{"detail": …}` or plain text."""

    def answer(request: Request, error: GatewayError) -> Response:
        headers = {k.decode(): v.decode() for k, v in error.headers()}
        body = error_body(error, request.scope["path"], dict(request.scope["headers"]))
        return Response(body, error.status, headers)

    @api.exception_handler(GatewayError)
    async def ours(request: Request, error: GatewayError) -> Response:
        return answer(request, error)

    @api.exception_handler(ClientGone)
    async def gone(_: Request, error: ClientGone) -> Response:
        return Response(status_code=400)  # nobody reads it

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answer(request, BadRequest(f"{where}: {first['msg']}", param=where))

    @api.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        path = request.scope["path"][:200]
        if error.status_code == 404:
            return answer(request, NotFound(f"Unknown path: {path}. GET /openapi.json lists what there is."))
        if error.status_code == 405:
            allow = (error.headers or {}).get("Allow", "")
            return answer(request, MethodNotAllowed(f"{path} does not take {request.method}.", allow=allow))
        plain = GatewayError(str(error.detail))
        plain.status = error.status_code
        return answer(request, plain)

    @api.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        log.error("internal error at %s: %s", request.scope["path"], type(error).__name__)
        return answer(request, GatewayError("The gateway failed; the request was not answered."))


def send_error(client: Client, error: GatewayError, path: str, by_name: Mapping[bytes, bytes]) -> None:
    """The error as the whole answer, in the shape of the API that was called."""
    body = error_body(error, path, by_name)
    lines = lines_of([*error.headers(), (b"x-request-id", request_id(by_name))])
    client.start(error.status, lines, len(body))
    client.end(body)


def naming(send: Send, by_name: Mapping[bytes, bytes]) -> Send:
    """`send` with `x-request-id` in every answer's head."""

    async def send_named(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id(by_name))]
        await send(message)

    return send_named
