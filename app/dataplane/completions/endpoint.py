"""POST /v1/completions on its way. Knows which parts make up the protocol; the parts know the rest."""

from app.dataplane.completions.answer import read_completion
from app.dataplane.completions.request import CompletionRequest
from app.dataplane.completions.stream import CompletionStream
from app.dataplane.event_stream import EventStream
from app.dataplane.routed import RoutedExchange
from app.dataplane.routed_endpoint import RoutedEndpoint
from app.dataplane.services import Services
from app.dataplane.whole_answer import WholeAnswer


class CompletionExchange(RoutedExchange):
    """A completion's way."""

    api = "completions"
    path = "/v1/completions"

    def open_stream(self, routing: bytes) -> EventStream:
        """The stream's reader and writer."""
        request = self.plan.request
        return CompletionStream(routing=routing, show_usage=request.wants_usage, choices=request.choices)

    def read_whole(self, raw: bytes, routing: bytes) -> WholeAnswer:
        """An answer in one piece."""
        return read_completion(raw, routing)


def completions(services: Services) -> RoutedEndpoint:
    """The endpoint."""
    return RoutedEndpoint(services, CompletionRequest.parse, CompletionExchange)
