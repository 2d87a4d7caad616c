"""Ports are found, held and explained."""

import os
import socket
from collections.abc import Iterator

import pytest

from app.launch.errors import LaunchError
from app.launch.ports import FIRST_ENGINE_PORT, find_holder, gateway_port, reserve_port


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_a_taken_port_names_the_port_and_its_holder(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(LaunchError, match=rf"Port {port} on 127\.0\.0\.1 is taken by .*\(pid {os.getpid()}\)"):
        gateway_port("127.0.0.1", port)


def test_a_free_port_is_itself_and_zero_becomes_one(free_port: int) -> None:
    assert gateway_port("127.0.0.1", free_port) == free_port
    assert gateway_port("127.0.0.1", 0) > 0


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(LaunchError, match="Cannot listen on"):
        gateway_port("192.0.2.1", 8080)
    with pytest.raises(LaunchError, match="not an address"):
        gateway_port("no such host", 8080)


def test_nobody_holds_a_free_port(free_port: int) -> None:
    assert find_holder(free_port) is None


def test_a_reserved_port_can_be_joined_by_its_engine_but_not_found_by_another_supervisor() -> None:
    first, second = reserve_port(), reserve_port()
    try:
        assert first.port >= FIRST_ENGINE_PORT
        assert first.port != second.port
        with socket.socket() as engine:  # as vLLM binds
            engine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            engine.bind(("127.0.0.1", first.port))
            engine.listen()
            socket.create_connection(("127.0.0.1", first.port), timeout=5).close()
    finally:
        first.release()
        second.release()


def test_a_wanted_engine_port_that_is_taken_is_refused(listener: socket.socket) -> None:
    with pytest.raises(LaunchError, match="is taken by"):
        reserve_port(listener.getsockname()[1])
