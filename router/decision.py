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
from router.policies.in_force import InForce
from router.profile import Profile


class RouteRequest(msgspec.Struct, frozen=True):
    """Everything that may decide a mode, read off the wire beforehand.

    `model_mode` is set where the client named a mode alias (`auto-thinking`), `header` is `x-thinkgate-mode`,
    `switch` the latest soft switch, `session` the session's key or empty. A `dry` run leaves no trace in the session.
    `may_think` is False where the caller's thinking tokens are used up: then session and judge may not choose thinking.
    `in_force` is the threshold where policies move it, None where the profile's own holds.
    """

    profile: Profile
    conversation: Conversation
    model_mode: Mode | None = None
    header: Mode | Literal["auto"] | None = None
    fields: FieldIntent = NO_FIELDS
    switch: Mode | None = None
    session: Hashable = ""
    dry: bool = False
    may_think: bool = True
    in_force: InForce | None = None

    @property
    def threshold(self) -> float:
        """The threshold for this request."""
        return self.profile.threshold if self.in_force is None else self.in_force.threshold


class Decision(msgspec.Struct, frozen=True):
    """The mode, why, and the numbers behind it. `score` and `threshold` are None where no judge was asked.

    `propensity` is the probability with which the mode was chosen, where chance had a say.
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
    propensity: float | None = None

    def by_score(self) -> str:
        """The score's side of the threshold, in words."""
        sign = ">=" if self.mode is Mode.THINKING else "<"
        return f"score {self.score or 0.0:.4f} {sign} threshold {self.threshold or 0.0:.4g}"
