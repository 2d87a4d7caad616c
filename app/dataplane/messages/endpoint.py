"""POST /v1/messages and /v1/messages/count_tokens on their way. Knows which parts make up the protocol."""

from app.dataplane.event_stream import EventStream
from app.dataplane.messages.answer import read_message
from app.dataplane.messages.errors import anthropic_error
from app.dataplane.messages.request import MessageRequest
from app.dataplane.messages.stream import MessageStream
from app.dataplane.plan import Caller, Plan
from app.dataplane.routed import RoutedExchange
from app.dataplane.routed_endpoint import RoutedEndpoint
from app.dataplane.routed_request import RoutedRequest
from app.dataplane.services import Services
from app.dataplane.whole_answer import WholeAnswer
from app.errors import GatewayError


class MessageExchange(RoutedExchange):
    """A message's way."""

    api = "messages"
    path = "/v1/messages"

    def open_stream(self, routing: bytes) -> EventStream:
        """The stream's reader and writer."""
        return MessageStream(routing=routing)

    def read_whole(self, raw: bytes, routing: bytes) -> WholeAnswer:
        """An answer in one piece."""
        return read_message(raw, routing)

    def id_lines(self) -> bytes:
        """Anthropic's name for it, and everybody's."""
        return b"x-request-id: %b\r\nrequest-id: %b\r\n" % (self.request_id, self.request_id)

    def error_body(self, error: GatewayError) -> bytes:
        """Anthropic's error shape."""
        return anthropic_error(error)


class CountExchange(MessageExchange):
    """A token count's way: nothing is generated, so nothing but the request is counted, and no decision is logged."""

    api = "count_tokens"
    path = "/v1/messages/count_tokens"

    def begin(self, plan: Plan) -> None:
        """On the way, without a decision to count."""
        self.plan = plan
        self.dispatch()

    def read_whole(self, raw: bytes, routing: bytes) -> WholeAnswer:
        """The count as it came."""
        return WholeAnswer(raw)

    def on_over(self, status: int) -> None:
        """Count the request."""
        routing = self.plan.routing
        self.services.meters.requests(self.api, routing.mode, routing.reason, str(status)).inc()


class CountEndpoint(RoutedEndpoint):
    """Counts with the pool that would answer: chat templates differ between modes."""

    def plan(self, exchange: RoutedExchange, request: RoutedRequest, caller: Caller) -> Plan:
        """The plan that the message itself would have; it leaves no trace in the session."""
        return self._services.planner.rehearse(request, exchange.incoming.by_name, caller)


def messages(services: Services) -> RoutedEndpoint:
    """The endpoint of messages."""
    return RoutedEndpoint(services, MessageRequest.parse, MessageExchange)


def count_tokens(services: Services) -> RoutedEndpoint:
    """The endpoint of token counts."""
    return CountEndpoint(services, MessageRequest.parse, CountExchange)
