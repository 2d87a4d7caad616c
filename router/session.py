"""What is remembered between the turns of one session. Knows modes and times; knows no wire format.

In memory, bounded and per process: the least recently used session is forgotten first.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Protocol

import msgspec

from router.mode import Mode


class SessionState(msgspec.Struct, frozen=True, gc=False):
    """The last decision of a session: its mode, and when it was made (monotonic seconds)."""

    mode: Mode
    at_s: float


class Sessions(Protocol):
    """The session hook of the ladder."""

    def recall(self, key: Hashable, now_s: float) -> SessionState | None:
        """The session's last decision, or None for a new or forgotten one."""
        ...

    def remember(self, key: Hashable, state: SessionState) -> None:
        """Keep the decision as the session's last."""
        ...


class MemorySessions:
    """An LRU of at most `capacity` sessions, each forgotten `ttl_s` seconds after its last decision."""

    def __init__(self, capacity: int = 100_000, ttl_s: float = 3600.0) -> None:
        self.capacity = capacity
        self.ttl_s = ttl_s
        self._states: OrderedDict[Hashable, SessionState] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def recall(self, key: Hashable, now_s: float) -> SessionState | None:
        state = self._states.get(key)
        if state is None:
            return None
        if now_s - state.at_s > self.ttl_s:
            del self._states[key]
            return None
        return state

    def remember(self, key: Hashable, state: SessionState) -> None:
        states = self._states
        states[key] = state
        states.move_to_end(key)
        if len(states) > self.capacity:
            states.popitem(last=False)
