"""GET /v1/responses/{id} and POST /v1/responses/{id}/cancel: to the replica that made the response. Edits nothing."""

import re

from app.dataplane.client import Client
from app.dataplane.passthrough.exchange import Errand, PassThroughExchange
from app.dataplane.plan import Caller
from app.dataplane.request_head import RequestHead
from app.dataplane.responses.made import MadeResponses
from app.dataplane.services import Services
from app.errors import ResponseNotFound

_PATH = re.compile(r"/v1/responses/([A-Za-z0-9][A-Za-z0-9_.:-]{0,255})(/cancel)?")
_API = "responses_by_id"


def is_by_id(path: str) -> str:
    """The method that a path of this kind takes; empty for any other path."""
    found = _PATH.fullmatch(path)
    return "" if found is None else "POST" if found[2] else "GET"


class ResponseById:
    """One request about one response; made for each, since its query is its own."""

    def __init__(self, services: Services, made: MadeResponses, query: bytes) -> None:
        self._services = services
        self._made = made
        self._query = query

    def answer(self, client: Client, head: RequestHead, body: bytes, caller: Caller) -> None:
        """Begin to answer. Never raises."""
        found = _PATH.fullmatch(head.path)
        assert found is not None  # noqa: S101 - `is_by_id` has said so
        exchange = PassThroughExchange(self._services, client, head, _API, caller)
        made = self._made.find(caller.tenant, found[1])
        if made is None:
            error = ResponseNotFound(f"Response with id '{found[1]}' not found.", param="response_id")
            exchange.refuse(error)
            exchange.on_over(error.status)
            return
        target = head.path.encode("ascii") + (b"?" + self._query if self._query else b"")
        exchange.run(Errand(made.pool, b"POST" if found[2] else b"GET", target, only=made.replica))
