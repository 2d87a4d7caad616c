"""The memory of sessions, each decision of which is told to other gateways. Knows sessions and bytes; no server."""

from collections.abc import Hashable, Iterator

from app.state.stable import DIGEST_BYTES, digest
from router.mode import Mode
from router.session import MemorySessions, SessionState

_MODES = tuple(Mode)
ENTRY_BYTES = DIGEST_BYTES + 1


class SharedSessions(MemorySessions):
    """Every gateway keeps all sessions in its own memory, so that recalling one waits for nobody. Keys are digests:
    neither tenants nor clients' names for sessions leave the process."""

    def __init__(self, capacity: int = 100_000, ttl_s: float = 3600.0) -> None:
        super().__init__(capacity, ttl_s)
        self._untold: dict[bytes, Mode] = {}

    def recall(self, key: Hashable, now_s: float) -> SessionState | None:
        return super().recall(digest(key), now_s)

    def remember(self, key: Hashable, state: SessionState) -> None:
        name = digest(key)
        super().remember(name, state)
        untold = self._untold
        untold.pop(name, None)  # the order is that of the last decisions
        untold[name] = state.mode
        if len(untold) > self.capacity:
            del untold[next(iter(untold))]

    def take(self, most: int) -> bytes:
        """What others have not been told yet, the oldest first; at most so many sessions."""
        names = [name for name, _ in zip(self._untold, range(most), strict=False)]
        return b"".join(name + bytes((_MODES.index(self._untold.pop(name)),)) for name in names)

    def give_back(self, told: bytes) -> None:
        """It could not be told; what was decided since counts more."""
        self._untold = dict(_entries(told)) | self._untold

    def told(self, entries: bytes, at_s: float) -> None:
        """Decisions of another gateway, of the time `at_s` (monotonic seconds). An own, later one stays."""
        for name, mode in _entries(entries):
            known = self._states.get(name)
            if known is None or known.at_s < at_s:
                super().remember(name, SessionState(mode, at_s))


def _entries(entries: bytes) -> Iterator[tuple[bytes, Mode]]:
    for i in range(0, len(entries) - ENTRY_BYTES + 1, ENTRY_BYTES):
        mode = entries[i + DIGEST_BYTES]
        if mode < len(_MODES):
            yield entries[i : i + DIGEST_BYTES], _MODES[mode]
