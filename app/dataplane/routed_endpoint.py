"""The data plane's handler of a routed protocol: parse, plan, send on the way. Knows no wire format."""

import logging
from collections.abc import Callable
from typing import cast

from app.dataplane.client import Client
from app.dataplane.exchange import without_values
from app.dataplane.plan import Caller, Plan
from app.dataplane.request_head import RequestHead
from app.dataplane.routed import RoutedExchange
from app.dataplane.routed_request import RoutedRequest
from app.dataplane.services import Services
from app.errors import GatewayError
from app.judging.pending import Pending

log = logging.getLogger("thinkgate")


class RoutedEndpoint:
    """The data plane's handler of one routed protocol: `parse` reads its bodies, `exchange` is its RoutedExchange."""

    def __init__(
        self, services: Services, parse: Callable[[bytes], RoutedRequest], exchange: type[RoutedExchange]
    ) -> None:
        self._services = services
        self._parse = parse
        self._exchange = exchange

    def answer(self, client: Client, head: RequestHead, body: bytes, caller: Caller) -> None:
        """Begin to answer one request. Never raises: every failure becomes the protocol's own error."""
        exchange = self.exchange(client, head, caller)
        try:
            if caller.ledger is not None:
                exchange.enrol(caller)
            request = self._parse(body)
            plan = self.plan(exchange, request, caller)
            if type(plan) is Plan:
                exchange.begin(plan)
            else:
                exchange.judge(cast(Pending, plan))
        except GatewayError as error:
            exchange.refuse(error)
            exchange.dismiss()
            self._refused(exchange, error.status)
        except Exception as error:
            log.error("internal error: %s", type(error).__name__, exc_info=without_values(error))
            exchange.refuse(GatewayError("The gateway failed; the request was not answered."))
            exchange.dismiss()
            self._refused(exchange, 500)

    def _refused(self, exchange: RoutedExchange, status: int) -> None:
        services = self._services
        services.meters.requests(exchange.api, "none", "none", str(status)).inc()
        if services.observer is not None:
            services.observer.over(exchange, exchange.incoming, exchange.api, status)

    def exchange(self, client: Client, head: RequestHead, caller: Caller) -> RoutedExchange:
        """The exchange for one request."""
        return self._exchange(self._services, client, head, caller)

    def plan(self, exchange: RoutedExchange, request: RoutedRequest, caller: Caller) -> Plan | Pending:
        """What will be done with a request. Raises ModelNotFound or BadRequest."""
        return self._services.planner.plan(request, exchange.incoming.by_name, caller)
