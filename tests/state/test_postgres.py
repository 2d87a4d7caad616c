"""The PostgreSQL store against a real server: all that the SQLite store can, and the server's troubles."""

import signal
import threading
import time

import psycopg
import pytest

from app.config_file import ConfigError, parse_settings
from app.decisions import postgres as module
from app.decisions.feedback import Verdict, new_feedback
from app.decisions.postgres import PostgresStore
from app.decisions.postgres_schema import MIGRATIONS
from app.decisions.record import DecisionRecord
from app.decisions.store import Query, StoreError
from app.gateway import create_app
from router.judges import ConstantJudge
from router.mode import Mode, Reason
from tests.app.decisions.conftest import everything, record
from tests.app.decisions.test_feedback import (  # noqa: F401 - the same tests, with this folder's `store`
    one,
    test_a_key_counts_once_and_gives_what_it_gave,
    test_another_tenants_decision_is_unknown,
    test_feedback_goes_when_decisions_of_its_age_go,
    test_keys_of_tenants_are_their_own,
    test_what_is_given_is_read_field_by_field,
)
from tests.app.decisions.test_savings import (  # noqa: F401
    test_a_batch_that_is_written_twice_is_summed_up_once,
    test_answers_are_summed_up_by_hour_profile_mode_and_band,
    test_sums_outlive_their_decisions_by_a_year_but_not_by_two,
)
from tests.app.decisions.test_shadows import (  # noqa: F401
    test_a_shadow_is_kept_once_and_is_its_tenants,
    test_numbers_that_overflow_integers_are_summed,
    test_old_shadows_go_with_old_decisions,
    test_shadows_are_summed_up_by_profile_and_mode,
)
from tests.app.decisions.test_sqlite import (  # noqa: F401
    test_a_batch_written_twice_is_there_once,
    test_a_row_from_a_clock_that_ran_ahead_does_not_keep_the_others,
    test_a_tenant_sees_its_own_rows_only,
    test_batches_of_any_size_are_whole_and_in_order,
    test_every_mode_and_reason_can_be_kept,
    test_filters_can_be_combined,
    test_nothing_to_write_is_no_error,
    test_old_rows_are_deleted_in_steps_the_oldest_first,
    test_pages_follow_each_other_without_gap_or_repetition_while_rows_are_added,
    test_the_order_is_that_of_arrival_whatever_the_clock_says,
)


def columns(url, table):
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name = %s ORDER BY ordinal_position",
            (table,),
        ).fetchall()


def versions(url):
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT version FROM thinkgate_migrations ORDER BY 1").fetchall()]


# ---------------------------------------------------------------------- records


def test_what_is_written_is_read_field_by_field(store):
    full = record(because="说明 'quoted' %s", fallback_from="fast", prompt="多行\nprompt end", stream=False, status=499)
    empty = record(
        score=None, threshold=None, prompt_tokens=None, reasoning_tokens=None, answer_tokens=None, ttft_s=None
    )
    assert store.write([full, empty]) == 0
    assert everything(store) == [full, empty]
    assert store.get("default", full.id) == full


def test_a_row_that_cannot_be_kept_does_not_cost_the_others(store):
    batch = [record(), record(prompt_tokens=2**70), record(), record(asked="a\0b\ud800"), record()]
    assert store.write(batch) == 1
    kept = everything(store)
    assert [r.id for r in kept] == [batch[i].id for i in (0, 2, 3, 4)]
    assert kept[2].asked == "a\ufffdb?"  # what no text of PostgreSQL can hold is replaced


def test_the_fields_are_the_columns(store, url):
    store.write([record()])
    names = [row[0] for row in columns(url, "thinkgate_decisions")]
    assert names == ["seq", *DecisionRecord.__struct_fields__]


@pytest.mark.parametrize("filters", [{}, {"mode": Mode.INSTRUCT}, {"reason": Reason.JUDGE}])
def test_no_page_sorts_or_reads_the_whole_table(store, url, filters):
    store.write([record(tenant=t) for t in ("default", "b") for _ in range(2000)])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        where = "".join(f" AND {name} = '{value}'" for name, value in filters.items())
        sql = f"EXPLAIN {module._SELECT}{where} ORDER BY seq DESC LIMIT 50".replace("%s", "'b'")
        plan = "\n".join(row[0] for row in connection.execute(sql.encode()).fetchall())
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


# ---------------------------------------------------------------------- schema


def test_gateways_that_start_at_once_make_the_tables_once(url):
    stores = [PostgresStore(url) for _ in range(6)]
    failed = []

    def write(store):
        try:
            store.write([record()])
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert versions(url) == list(range(1, len(MIGRATIONS) + 1))
    assert len(everything(stores[0])) == 6
    for store in stores:
        store.close()


def test_an_older_database_is_brought_forward_and_a_step_that_fails_changes_nothing(url):
    old = PostgresStore(url)
    first = record()
    old.write([first])
    old.close()
    broken = PostgresStore(url, migrations=(*MIGRATIONS, "CREATE TABLE half (x int); SELECT 1/0"))
    with pytest.raises(StoreError, match="DivisionByZero"):
        broken.write([record()])
    assert columns(url, "half") == []
    assert versions(url) == list(range(1, len(MIGRATIONS) + 1))
    steps = (*MIGRATIONS, "ALTER TABLE thinkgate_decisions ADD COLUMN later TEXT")
    new = PostgresStore(url, migrations=steps)
    second = record()
    new.write([second])
    assert everything(new) == [first, second]
    new.close()
    with pytest.raises(StoreError, match="a newer one made it"):
        PostgresStore(url).write([record()])


def test_who_may_only_write_rows_can_use_tables_that_are_there(url, postgres):
    store = PostgresStore(url)
    store.write([])
    store.forget(0, 1)
    store.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE writer LOGIN")
        schema = connection.execute("SELECT current_schema()").fetchone()[0]
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO writer".encode())
        connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO writer".encode())
    writer = PostgresStore(url.replace("test@", "writer@"))
    row = record()
    assert writer.write([row]) == 0
    assert everything(writer) == [row]
    writer.close()


# ---------------------------------------------------------------------- several gateways


def test_gateways_that_write_at_once_do_not_block_each_other_and_every_answer_is_summed_up(url):
    stores = [PostgresStore(url) for _ in range(4)]
    stores[0].write([record()])
    barrier, failed = threading.Barrier(4), []

    def write(store):
        try:
            barrier.wait(30)
            for _ in range(20):
                store.write(
                    [record(score=s / 20, profile=p) for s in range(20) for p in "ab"][
                        :: 1 if store is stores[0] else -1
                    ]
                )
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert failed == []
    assert sum(s.answers for s in stores[0].sums("default", 0, 10**6)) == 1 + 4 * 20 * 40
    for store in stores:
        store.close()


def test_at_once_under_one_key_feedback_is_kept_once(store, url):
    first, second = record(), record()
    store.write([first, second])
    for decisions in ([first] * 6, [first, second] * 3):
        given, barrier = [], threading.Barrier(6)
        key = f"k{len({r.id for r in decisions})}"

        def give(decision, key=key, given=given, barrier=barrier):
            feedback = new_feedback(decision.id, Verdict.FAILED, None, None)
            barrier.wait(30)
            try:
                given.append(PostgresStore(url).give("default", feedback, key).mode)
            except Exception as error:
                given.append(type(error).__name__)

        threads = [threading.Thread(target=give, args=(decision,)) for decision in decisions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert given.count(Mode.THINKING) == 1
        assert set(given) <= {Mode.THINKING, None, "KeyReused"}
        assert given.count("KeyReused") == (0 if len({r.id for r in decisions}) == 1 else 3)


# ---------------------------------------------------------------------- trouble


def test_a_server_that_was_restarted_or_killed_is_found_again(store, postgres):
    kept = [record()]
    store.write(kept)
    for end in (lambda: postgres.stop("fast"), lambda: postgres.stop("immediate"), postgres.kill):
        end()
        lost = record()
        with pytest.raises(StoreError):
            store.write([lost])
        with pytest.raises(StoreError):
            store.page(Query("default", 10))
        postgres.start()
        store.write([lost])
        kept.append(lost)
    assert everything(store) == kept


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_it_must(store, postgres, monkeypatch):
    store.write([record()])
    monkeypatch.setattr(module, "WRITE_LIMIT_S", 0.5)
    monkeypatch.setattr(module, "READ_LIMIT_S", 0.5)
    monkeypatch.setattr("app.decisions.impatient.CONNECT_LIMIT_S", 2)
    postgres.signal(signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        with pytest.raises(StoreError, match="timeout"):
            store.write([record()])
        with pytest.raises(StoreError, match="timeout"):
            store.get("default", "dec_0")
        assert time.monotonic() - began_s < 60
    finally:
        postgres.signal(signal.SIGCONT)
    assert store.write([record()]) == 0
    assert len(everything(store)) >= 2


def test_a_statement_that_waits_for_a_lock_is_given_up(store, url, monkeypatch):
    store.write([record()])
    monkeypatch.setattr(module, "WRITE_LIMIT_S", 0.3)
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE thinkgate_decisions")
        with pytest.raises(StoreError, match="QueryCanceled"):
            store.write([record()])
    assert store.write([record()]) == 0


@pytest.mark.parametrize("where", ["nowhere", "password"])
def test_no_password_is_in_what_is_said(url, postgres, where):
    named = url.replace("test@", "nobody:hunter2@") if where == "password" else "postgresql://u:hunter2@127.0.0.1:1/x"
    with pytest.raises(StoreError) as told:
        PostgresStore(named).write([record()])
    assert "hunter2" not in str(told.value)


def test_no_value_of_a_client_is_in_what_is_said(store, url):
    store.write([record()])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE thinkgate_decisions ADD CHECK (asked <> 'secret')")
    with pytest.raises(StoreError) as told:
        store.write([record(asked="secret")])
    assert "secret" not in str(told.value)
    assert "CheckViolation" in str(told.value)


def test_a_url_that_cannot_be_read_is_refused_at_the_start():
    data = {
        "pools": {"p": {"model": "m", "replicas": ["http://127.0.0.1:1"]}},
        "routes": {"auto": {"family": "qwen3-hybrid", "pool": "p"}},
        "decisions": {"url": "postgresql://user:hunter2@db/thinkgate?no_such=1"},
    }
    with pytest.raises(ConfigError, match=r"decisions\.url: is no URL") as refused:
        create_app(parse_settings(data, {}), judge=ConstantJudge())
    assert "hunter2" not in str(refused.value)


def test_many_rows_are_written_fast_enough(store):
    batches = [[record() for _ in range(500)] for _ in range(4)]
    store.write(batches[0])
    began_s = time.thread_time()
    for batch in batches[1:]:
        store.write(batch)
    assert (time.thread_time() - began_s) / 1500 < 1e-3  # of this process; some 10 µs
