"""Records, and logs that are started and stopped."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from app.decisions.log import DecisionLog
from app.decisions.record import DecisionRecord
from app.decisions.sqlite import SqliteStore
from app.decisions.store import DecisionStore, Query
from app.ids import new_id
from app.metrics import Meters
from router.mode import Mode, Reason


def record(**changes: Any) -> DecisionRecord:
    """A record; what is not said is usual."""
    usual = DecisionRecord(
        new_id(),
        1_795_516_271.5,
        "default",
        "chat",
        "auto",
        "default",
        Mode.THINKING,
        Reason.JUDGE,
        "",
        0.75,
        0.5,
        "linear@1",
        "deep",
        "qwen-thinking",
        "",
        200,
        True,
        24,
        611,
        203,
        0.084,
        9.41,
        0.000021,
    )
    return DecisionRecord(**{name: getattr(usual, name) for name in usual.__struct_fields__} | changes)


def everything(store: DecisionStore, tenant: str = "default") -> list[DecisionRecord]:
    """A tenant's records, the oldest first."""
    return store.page(Query(tenant, 100_000))[::-1]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "thinkgate.db")


@pytest.fixture
def store(path: str) -> Any:
    store = SqliteStore(path)
    yield store
    store.close()


Make = Callable[..., DecisionLog]


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
async def make(meters: Meters) -> AsyncIterator[Make]:
    """Makes logs, which a test may start; all are stopped at its end."""
    made: list[DecisionLog] = []

    def make(store: DecisionStore, **options: Any) -> DecisionLog:
        usual = {"keep_days": 30, "store_prompts": False, "dropped": meters.decisions_dropped, "flush_s": 0.01}
        made.append(DecisionLog(store, **usual | options))
        return made[-1]

    yield make
    for log in made:
        with contextlib.suppress(RuntimeError):
            await log.stop()
