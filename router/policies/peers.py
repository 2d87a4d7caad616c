"""What controllers of one policy, each in a gateway of its own, tell each other. Types; knows no controller and no way.

A controller tells what it has done since it began, as sums that only go on, so that saying it twice changes nothing;
and where it stands now. From two words of another one follows what that has done in between.
"""

from collections.abc import Sequence
from typing import Protocol

Word = tuple[float, ...]
Heard = Sequence[tuple[Word | None, Word]]
"""Of each other controller: its word as it was heard last, None where this is the first time, and its word now."""


class Peer(Protocol):
    """A controller that acts together with its like."""

    def tell(self, now_s: float) -> Word:
        """What the others shall know. `now_s` is this process's monotonic time."""
        ...

    def hear(self, others: Heard, now_s: float) -> None:
        """What the others have told."""
        ...
