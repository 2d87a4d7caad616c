"""The endpoints that are passed through to the pool that serves the named model. Knows their paths; decides nothing."""

import logging

from app.dataplane.client import Client
from app.dataplane.exchange import without_values
from app.dataplane.passthrough.exchange import Errand, PassThroughExchange
from app.dataplane.passthrough.form_body import FormBody
from app.dataplane.passthrough.json_body import JsonBody
from app.dataplane.plan import Caller
from app.dataplane.request_head import RequestHead
from app.dataplane.services import Services
from app.errors import BadRequest, GatewayError

log = logging.getLogger("thinkgate")
PASSED_THROUGH = {
    "/v1/embeddings": "embeddings",
    "/tokenize": "tokenize",
    "/detokenize": "detokenize",
    "/score": "score",
    "/v1/score": "score",
    "/rerank": "rerank",
    "/v1/rerank": "rerank",
    "/v2/rerank": "rerank",
    "/pooling": "pooling",
    "/classify": "classify",
    "/v1/audio/transcriptions": "audio",
    "/v1/audio/translations": "audio",
    "/v1/audio/speech": "audio",
}
"""Paths, and their names in metrics. Named one by one: no other path of a backend can be reached."""


class PassThroughEndpoint:
    """The data plane's handler of one such path."""

    def __init__(self, services: Services, path: str) -> None:
        self._services = services
        self._path = path.encode()
        self._api = PASSED_THROUGH[path]

    def answer(self, client: Client, head: RequestHead, body: bytes, caller: Caller) -> None:
        """Begin to answer one request. Never raises: every failure becomes the API's own error."""
        exchange = PassThroughExchange(self._services, client, head, self._api, caller)
        try:
            exchange.enrol(caller)
            content_type = head.by_name.get(b"content-type", b"")
            is_form = content_type.lower().startswith(b"multipart/")
            given = FormBody(body, content_type) if is_form else JsonBody(body)
            if given.model is None:
                raise BadRequest("`model` is required: name a model, or a route such as `auto`.", param="model")
            pool = self._services.planner.pool_for(given.model, caller)
            sent = body if given.model == pool.model else given.naming(pool.model)
            exchange.run(Errand(pool, b"POST", self._path, sent, content_type if is_form else b"application/json"))
        except GatewayError as error:
            exchange.refuse(error)
            exchange.dismiss()
            exchange.on_over(error.status)
        except Exception as error:
            log.error("internal error: %s", type(error).__name__, exc_info=without_values(error))
            exchange.refuse(GatewayError("The gateway failed; the request was not answered."))
            exchange.dismiss()
            exchange.on_over(500)
