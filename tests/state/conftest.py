"""Real servers, each started once and given back as it was found."""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.decisions.postgres import PostgresStore
from tests.state.postgres_server import PostgresServer
from tests.state.redis_server import RedisServer

_numbers = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the servers."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.state)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that a test may break, if it mends it again."""
    with tempfile.TemporaryDirectory(prefix="thinkgate-postgres-") as folder:  # pytest's folders are its user's alone
        server = PostgresServer(Path(folder))
        server.start()
        yield server
        server.stop("immediate")


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """An empty schema of the test's own."""
    return postgres.schema(f"test{next(_numbers)}")


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(url)
    yield store
    store.close()


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """An empty server of the test's own."""
    server = RedisServer()
    server.start()
    yield server
    server.stop()
