"""A replica's idle connections: used again, the warmest first, and closed when they are stale."""

import pytest

from app.pools import replica as module
from app.pools.replica import Replica
from app.settings import Timeouts


class FakeConnection:
    def __init__(self, reusable: bool = True) -> None:
        self.closed = False
        self.idle_since_s = 0.0
        self._reusable = reusable

    def reusable(self) -> bool:
        return self._reusable and not self.closed

    def abort(self) -> None:
        self.closed = True


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now_s = 100.0

        def monotonic(self) -> float:
            return self.now_s

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def replica() -> Replica:
    return Replica("http://10.0.0.1:8000", None, Timeouts())


def test_the_warmest_connection_is_used_first(replica, clock):
    first, second = FakeConnection(), FakeConnection()
    replica.release(first)
    replica.release(second)
    assert replica.idle_connection() is second
    assert replica.idle_connection() is first
    assert replica.idle_connection() is None


def test_stale_and_closed_connections_are_not_used(replica, clock):
    stale, gone, good = FakeConnection(), FakeConnection(), FakeConnection()
    replica.release(stale)
    clock.now_s += module.IDLE_LIMIT_S
    replica.release(good)
    replica.release(gone)
    gone.closed = True
    clock.now_s += 1
    assert replica.idle_connection() is good
    assert replica.idle_connection() is None
    assert stale.closed


def test_connections_at_the_bottom_do_not_stay_open_for_ever(replica, clock):
    connections = [FakeConnection() for _ in range(100)]
    for connection in connections:
        replica.release(connection)
    clock.now_s += 3
    replica.release(replica.idle_connection())
    clock.now_s += 2
    replica.drop_stale()
    assert [c.closed for c in connections].count(False) == 1
    assert replica.idle_connection() is connections[-1]


def test_a_retired_replica_keeps_none(replica, clock):
    idle, busy = FakeConnection(), FakeConnection()
    replica.release(idle)
    replica.retire()
    replica.release(busy)
    assert idle.closed
    assert busy.closed
    assert replica.idle_connection() is None


def test_a_connection_that_cannot_be_used_again_is_closed(replica, clock):
    connection = FakeConnection(reusable=False)
    replica.release(connection)
    assert connection.closed


@pytest.mark.parametrize(
    ("url", "address", "base", "authority"),
    [
        ("http://vllm:8000", "", "http://vllm:8000", "vllm:8000"),
        ("http://vllm", "10.0.0.9", "http://10.0.0.9:80", "vllm:80"),
        ("https://vllm", "", "https://vllm:443", "vllm:443"),
        ("http://[fd00::1]:8000", "", "http://[fd00::1]:8000", "[fd00::1]:8000"),
        ("http://vllm:8000", "fd00::2", "http://[fd00::2]:8000", "vllm:8000"),
    ],
)
def test_who_is_asked_and_under_which_name(url, address, base, authority):
    replica = Replica(url, "k", Timeouts(), address=address)
    request = replica.http_request("/health")
    assert request["url"] == base + "/health"
    assert request["headers"] == {"host": authority, "authorization": "Bearer k"}
    assert replica.head == f"host: {authority}\r\nauthorization: Bearer k\r\n".encode()
