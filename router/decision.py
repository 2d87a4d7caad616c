"""A decision and the request it is made for. Values only.

These are msgspec structs: frozen like a dataclass, and ten times cheaper to make.
"""

from collections.abc import Hashable
from typing import Literal

import msgspec

from router.conversation import Conversation
from router.fields import NO_FIELDS, FieldIntent
from router.judges.base import Feature
from router.mode import Mode, Reason
from router.profile import Profile


class RouteRequest(msgspec.Struct, frozen=True):
    """Everything that may decide a mode, read off the wire beforehand.

    `model_mode` is set where the client named a mode alias (`auto-thinking`), `header` is `x-thinkgate-mode`,
    `switch` the latest soft switch, `session` the session's key or empty. A `dry` run leaves no trace in the session.
    """

    profile: Profile
    conversation: Conversation
    model_mode: Mode | None = None
    header: Mode | Literal["auto"] | None = None
    fields: FieldIntent = NO_FIELDS
    switch: Mode | None = None
    session: Hashable = ""
    dry: bool = False


class Decision(msgspec.Struct, frozen=True):
    """The mode, why, and the numbers behind it. `score` and `threshold` are None where no judge was asked.

    `because` is empty where the score alone decided: then `by_score` says it, when somebody wants to read it.
    """

    mode: Mode
    reason: Reason
    because: str
    profile: str
    score: float | None = None
    threshold: float | None = None
    judge: str = ""
    budget: int | None = None
    features: tuple[Feature, ...] = ()

    def by_score(self) -> str:
        """The score's side of the threshold, in words."""
        sign = ">=" if self.mode is Mode.THINKING else "<"
        return f"score {self.score or 0.0:.4f} {sign} threshold {self.threshold or 0.0:.4g}"
