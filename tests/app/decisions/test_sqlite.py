"""The SQLite store: what is written is read, by its tenant alone, from files of any age."""

import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from app.decisions import sqlite, sqlite_schema
from app.decisions.record import DecisionRecord
from app.decisions.sqlite import ROWS_A_STATEMENT, SqliteStore
from app.decisions.sqlite_schema import MIGRATIONS
from app.decisions.store import Query, StoreError, UnknownCursor
from router.mode import Mode, Reason
from tests.app.decisions.conftest import everything, record


def test_what_is_written_is_read_field_by_field(store):
    full = record(because="说明 'quoted'", fallback_from="fast", prompt="多行\nprompt \0 end", stream=False, status=499)
    empty = record(
        score=None, threshold=None, prompt_tokens=None, reasoning_tokens=None, answer_tokens=None, ttft_s=None
    )
    assert store.write([full, empty]) == 0
    assert everything(store) == [full, empty]
    assert store.get("default", full.id) == full
    assert type(store.get("default", full.id).stream) is bool


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("reason", Reason)
def test_every_mode_and_reason_can_be_kept(store, mode, reason):
    one = record(mode=mode, reason=reason)
    store.write([one])
    assert everything(store) == [one]


@pytest.mark.parametrize("rows", [1, ROWS_A_STATEMENT, ROWS_A_STATEMENT + 1, 500])
def test_batches_of_any_size_are_whole_and_in_order(store, rows):
    batch = [record() for _ in range(rows)]
    store.write(batch)
    assert everything(store) == batch


def test_nothing_to_write_is_no_error(store):
    assert store.write([]) == 0
    assert everything(store) == []


def test_a_batch_written_twice_is_there_once(store):
    batch = [record(), record()]
    store.write(batch)
    assert store.write([*batch, record()]) == 0
    assert len(everything(store)) == 3


def test_a_row_that_cannot_be_kept_does_not_cost_the_others(store):
    batch = [record(), record(prompt_tokens=2**70), record(), record(asked="\ud800"), record()]
    assert store.write(batch) == 2
    assert everything(store) == [batch[0], batch[2], batch[4]]


def test_a_disk_that_is_really_full_keeps_the_old_rows_and_takes_new_ones_later(path, monkeypatch):
    limit = [0]

    class Small(sqlite3.Connection):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            if limit[0]:
                self.execute(f"PRAGMA max_page_count={limit[0]}")

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite.sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Small))
    store = SqliteStore(path)
    first, batch = record(), [record(prompt="x" * 2000) for _ in range(500)]
    store.write([first])
    store.close()
    limit[0] = 20
    for _ in range(3):
        with pytest.raises(StoreError, match="disk is full"):
            store.write(batch)
    assert everything(store) == [first]
    limit[0] = 0
    assert store.write(batch) == 0
    assert everything(store) == [first, *batch]
    store.close()


def test_the_fields_are_the_columns(store):
    store.write([])
    with closing(sqlite3.connect(store._path)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(decisions)")]
    assert columns == ["seq", *DecisionRecord.__struct_fields__]


def test_the_file_is_its_owners_alone(store, path):
    store.write([record()])
    files = list(Path(path).parent.iterdir())
    assert len(files) == 3  # SQLite's own two beside it
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.parametrize("name", ["a b?c#d%41.db", "数据.db"])
def test_a_file_may_have_any_name(tmp_path, name):
    store = SqliteStore(str(tmp_path / name))
    store.write([record()])
    assert len(everything(store)) == 1
    store.close()
    assert [file.name for file in tmp_path.iterdir()] == [name]


# ---------------------------------------------------------------------- pages


def test_pages_follow_each_other_without_gap_or_repetition_while_rows_are_added(store):
    batch = [record() for _ in range(10)]
    store.write(batch)
    seen, before = [], ""
    while page := store.page(Query("default", 3, before)):
        seen += page
        before = page[-1].id
        store.write([record()])
    assert seen == batch[::-1]


def test_the_order_is_that_of_arrival_whatever_the_clock_says(store):
    batch = [record(time=t) for t in (300.0, 100.0, 200.0)]
    store.write(batch)
    assert everything(store) == batch


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"mode": Mode.INSTRUCT}, [0, 2]),
        ({"reason": Reason.SESSION}, [1, 2]),
        ({"mode": Mode.INSTRUCT, "reason": Reason.SESSION}, [2]),
        ({"reason": Reason.FALLBACK}, []),
    ],
)
def test_filters_can_be_combined(store, filters, kept):
    modes = (Mode.INSTRUCT, Mode.THINKING, Mode.INSTRUCT)
    reasons = (Reason.JUDGE, Reason.SESSION, Reason.SESSION)
    batch = [record(mode=m, reason=r) for m, r in zip(modes, reasons, strict=True)]
    store.write(batch)
    assert store.page(Query("default", 10, **filters)) == [batch[i] for i in reversed(kept)]


@pytest.mark.parametrize("filters", [{}, {"mode": Mode.INSTRUCT}, {"reason": Reason.JUDGE}, {"before": True}])
def test_no_page_sorts_or_reads_the_whole_table(store, filters, monkeypatch):
    first = record()
    store.write([first, *(record() for _ in range(20))])
    plans = []

    class Explaining(sqlite3.Connection):
        def execute(self, sql, *values):
            if "LIMIT" in sql:
                plans.extend(row[3] for row in super().execute("EXPLAIN QUERY PLAN " + sql, *values))
            return super().execute(sql, *values)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite.sqlite3, "connect", lambda *a, **k: connect(*a, factory=Explaining, **k))
    store.page(Query("default", 10, first.id if filters.pop("before", False) else "", **filters))
    assert plans
    assert not [plan for plan in plans if "SCAN" in plan or "TEMP B-TREE" in plan]


def test_a_tenant_sees_its_own_rows_only(store):
    mine, theirs = record(tenant="a"), record(tenant="b")
    store.write([mine, theirs])
    assert everything(store, "a") == [mine]
    assert store.get("a", theirs.id) is None
    assert store.get("b", theirs.id) == theirs
    with pytest.raises(UnknownCursor):
        store.page(Query("a", 10, theirs.id))


def test_reading_what_is_not_there_is_a_store_error(path):
    with pytest.raises(StoreError, match="unable to open"):
        SqliteStore(path).page(Query("default", 1))


def test_a_read_that_takes_too_long_is_given_up(store, monkeypatch):
    store.write([record() for _ in range(5000)])
    monkeypatch.setattr(sqlite, "READ_LIMIT_S", -1)
    with pytest.raises(StoreError, match="interrupted"):
        everything(store)


# ---------------------------------------------------------------------- forgetting


def test_old_rows_are_deleted_in_steps_the_oldest_first(store):
    batch = [record(time=float(i)) for i in range(10)]
    store.write(batch)
    assert store.forget(8.0, 5) == 5
    assert everything(store) == batch[5:]
    assert store.forget(8.0, 5) == 3
    assert store.forget(8.0, 5) == 0
    assert everything(store) == batch[8:]


def test_a_row_from_a_clock_that_ran_ahead_does_not_keep_the_others(store):
    batch = [record(time=t) for t in (1.0, 1e12, 2.0)]
    store.write(batch)
    assert store.forget(10.0, 100) == 2
    assert everything(store) == [batch[1]]


# ---------------------------------------------------------------------- schema


def test_an_empty_file_gets_the_schema(path):
    Path(path).touch()
    store = SqliteStore(path)
    store.write([record()])
    assert len(everything(store)) == 1
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert sqlite_schema.version_of(connection) == len(MIGRATIONS)


def test_an_older_file_is_brought_forward_and_keeps_its_rows(path):
    old = SqliteStore(path)
    first = record()
    old.write([first])
    old.close()
    steps = (*MIGRATIONS, "ALTER TABLE decisions ADD COLUMN verdict TEXT; CREATE INDEX verdicts ON decisions (verdict)")
    new = SqliteStore(path, migrations=steps)
    second = record()
    new.write([second])
    assert everything(new) == [first, second]
    new.close()
    with closing(sqlite3.connect(path)) as connection:
        assert [row[0] for row in connection.execute("SELECT version FROM migrations")] == [1, 2, 3, 4, 5]


def test_a_propensity_is_kept_and_older_rows_have_none(path):
    with closing(sqlite3.connect(path)) as connection:
        sqlite_schema.migrate(connection, MIGRATIONS[:2])
        connection.execute(
            "INSERT INTO decisions VALUES (1, 'dec_1', 1, 'default', 'chat', 'auto', 'default', 'thinking', 'judge',"
            " '', 0.75, 0.5, 'j', 'deep', 'm', '', 200, 1, 1, 1, 1, 0.1, 1, 0.1, NULL)"
        )
        connection.commit()
    new = SqliteStore(path)
    new.write([record(propensity=0.05)])
    assert [one.propensity for one in everything(new)] == [None, 0.05]
    new.close()


def test_a_file_of_the_first_version_gets_sums_of_what_is_in_it(path):
    batch = [record(), record(status=500), record(mode=Mode.INSTRUCT, score=0.1)]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        sqlite_schema.migrate(connection, MIGRATIONS[:1])
        for one in batch:
            row = sqlite._row(one)[:-1]  # there was no propensity then
            names = sqlite._LIST.removesuffix(", propensity")
            places = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO decisions ({names}) VALUES ({places})", row)  # noqa: S608
    store = SqliteStore(path)
    store.forget(0, 1)  # as a gateway's writer does first
    assert sorted((s.mode, s.band, s.answers, s.tokens) for s in store.sums("default", 0, 10**6)) == [
        (Mode.INSTRUCT, 1, 1, 814.0),
        (Mode.THINKING, 7, 1, 814.0),
    ]
    store.write([record()])
    assert sum(s.answers for s in store.sums("default", 0, 10**6)) == 3
    assert everything(store)[:3] == batch
    store.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(path):
    old = SqliteStore(path)
    old.write([record()])
    old.close()
    new = SqliteStore(path, migrations=(*MIGRATIONS, "ALTER TABLE decisions ADD COLUMN verdict TEXT; NONSENSE"))
    with pytest.raises(StoreError, match="NONSENSE"):
        new.write([record()])
    assert old.write([record()]) == 0
    assert len(everything(old)) == 2
    old.close()


def test_a_file_of_a_newer_gateway_is_not_touched(path):
    new = SqliteStore(
        path, migrations=(*MIGRATIONS, "ALTER TABLE decisions ADD COLUMN verdict TEXT NOT NULL DEFAULT ''")
    )
    new.write([record()])
    new.close()
    with pytest.raises(StoreError, match="a newer one wrote it"):
        SqliteStore(path).write([record()])


def test_a_file_that_is_no_database_is_a_store_error(path):
    Path(path).write_text("not a database, and long enough to be taken for one\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        SqliteStore(path).write([record()])


def test_two_gateways_may_share_a_file(store, path):
    other = SqliteStore(path)
    for _ in range(5):
        store.write([record()])
        other.write([record()])
    assert len(everything(other)) == 10
    other.close()


def test_a_lock_that_somebody_holds_is_a_store_error_and_passes(store, path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_LIMIT_S", 0.01)
    store.write([record()])
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(StoreError, match="locked"):
            store.write([record()])
        assert time.monotonic() - started < 5
    assert store.write([record()]) == 0
    assert len(everything(store)) == 2
