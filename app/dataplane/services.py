"""What every exchange uses. Values and collaborators; does nothing."""

from typing import TYPE_CHECKING

from app.dataplane.deadlines import Deadlines
from app.dataplane.planner import Planner
from app.decisions.log import DecisionLog
from app.metrics import Meters
from app.settings import Timeouts

if TYPE_CHECKING:
    from app.observing.observer import Observer
    from app.shadowing.shadows import Shadows

NEVER_S = float("inf")


class Services:
    """Made once for a configuration."""

    __slots__ = (
        "deadlines",
        "decisions",
        "first_byte_s",
        "first_wait_s",
        "idle_s",
        "meters",
        "observer",
        "planner",
        "shadows",
        "total_s",
    )

    def __init__(
        self,
        planner: Planner,
        meters: Meters,
        timeouts: Timeouts,
        decisions: DecisionLog | None = None,
        deadlines: Deadlines | None = None,
        observer: "Observer | None" = None,
        shadows: "Shadows | None" = None,
    ) -> None:
        self.planner = planner
        self.meters = meters
        self.decisions = decisions
        self.deadlines = Deadlines() if deadlines is None else deadlines
        self.observer = observer
        self.shadows = shadows
        self.first_byte_s = timeouts.first_byte_s
        self.idle_s = timeouts.idle_s
        self.total_s = NEVER_S if timeouts.total_s is None else timeouts.total_s
        self.first_wait_s = min(self.first_byte_s, self.total_s)
