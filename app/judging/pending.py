"""A request whose mode nobody has settled and whose judge needs I/O. A value."""

import msgspec

from app.dataplane.routed_request import RoutedRequest
from app.settings import Route
from router.decision import RouteRequest
from router.mode import Mode


class Pending(msgspec.Struct, frozen=True):
    """What is known before the judge has spoken; `switch` is the soft switch that will be stripped."""

    request: RoutedRequest
    route: Route
    ask: RouteRequest
    switch: Mode | None
