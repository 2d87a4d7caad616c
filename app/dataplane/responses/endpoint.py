"""POST /v1/responses on its way. Knows which parts make up the protocol; the parts know the rest."""

from typing import cast

from app.dataplane.client import Client
from app.dataplane.event_stream import EventStream
from app.dataplane.plan import Caller, Plan
from app.dataplane.request_head import RequestHead
from app.dataplane.responses.answer import read_response
from app.dataplane.responses.made import Made, MadeResponses
from app.dataplane.responses.request import ResponseRequest
from app.dataplane.responses.stream import ResponseStream
from app.dataplane.routed import RoutedExchange
from app.dataplane.routed_endpoint import RoutedEndpoint
from app.dataplane.routed_request import RoutedRequest
from app.dataplane.services import Services
from app.dataplane.whole_answer import WholeAnswer
from app.judging.pending import Pending
from app.pools.replica import Replica


class ResponseExchange(RoutedExchange):
    """A response's way. `made` remembers who made it; `follows` is who made the one that it goes on from."""

    api = "responses"
    path = "/v1/responses"

    def __init__(
        self, services: Services, client: Client, incoming: RequestHead, caller: Caller, made: MadeResponses
    ) -> None:
        super().__init__(services, client, incoming, caller)
        self.made = made
        self.follows: Made | None = None

    def begin(self, plan: Plan) -> None:
        """On the way; where the request goes on from a response, to the pool that holds it."""
        if self.follows is not None:
            pool = self.follows.pool.name
            plan = self.services.planner.stay(plan, pool, f"the response before this one is kept by the pool `{pool}`")
        super().begin(plan)

    def choose(self) -> Replica | None:
        """The replica that holds what the request goes on from, and no other."""
        follows = self.follows
        if follows is not None and follows.replica in self.plan.pool.replicas:
            return None if follows.replica in self._tried else follows.replica
        return super().choose()

    def open_stream(self, routing: bytes) -> EventStream:
        """The stream's reader and writer."""
        request = cast(ResponseRequest, self.plan.request)
        return ResponseStream(routing=routing, background=request.background)

    def on_body(self, data: bytes, chunk: bytes, now_s: float) -> None:
        """Until the engine has begun, what comes is no sign of life: the wait is one for the first byte."""
        super().on_body(data, chunk, now_s)
        stream = self._stream
        if isinstance(stream, ResponseStream):
            self.phase = "answering" if stream.begun else "queued"
            if not stream.begun:
                self.deadline_s = min(self.sent_s + self.services.first_byte_s, self._last_s)
            if self.started and stream.response_id:
                self._remember(stream.response_id)
                stream.response_id = ""

    def read_whole(self, raw: bytes, routing: bytes) -> WholeAnswer:
        """An answer in one piece."""
        answer, response_id = read_response(raw, routing)
        if response_id:
            self._remember(response_id)
        return answer

    def _remember(self, response_id: str) -> None:
        self.made.keep(self.tenant, response_id, Made(self.plan.pool, self.replica))


class ResponsesEndpoint(RoutedEndpoint):
    """The endpoint; `made` is shared with those that look responses up by their ids."""

    def __init__(self, services: Services, made: MadeResponses) -> None:
        super().__init__(services, ResponseRequest.parse, ResponseExchange)
        self._made = made

    def exchange(self, client: Client, head: RequestHead, caller: Caller) -> RoutedExchange:
        """The exchange for one request."""
        return ResponseExchange(self._services, client, head, caller, self._made)

    def plan(self, exchange: RoutedExchange, request: RoutedRequest, caller: Caller) -> Plan | Pending:
        """What will be done with a request; a response that goes on from another stays with the replica that has it."""
        follows = cast(ResponseRequest, request).follows
        if follows:
            cast(ResponseExchange, exchange).follows = self._made.find(caller.tenant, follows)
        return super().plan(exchange, request, caller)
