"""Another configuration while the gateway runs: in force as a whole or not at all, and no stream is dropped."""

import asyncio
import copy

import pytest

from app.config_file import ConfigError, parse_settings
from app.gateway import judge_from
from app.server import reload as reload_module
from app.server.reload import FileWatch, Reloader
from tests.app.conftest import CONNECT_S, HELLO, soon
from tests.app.scripted_upstream import ScriptedUpstream, stream, whole


def configuration(gateway, **changes):
    data = {
        "server": {"port": 0, "listeners": 1},
        "pools": {
            "fast": {"model": "instruct", "replicas": [gateway.fast.url]},
            "deep": {"model": "thinking", "replicas": [gateway.deep.url]},
        },
        "routes": {"auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"}},
        "judge": {"kind": "constant", "score": 0.0},
        "timeouts": {"connect_s": CONNECT_S},
        "health": {"interval_s": 3600},
    }
    for section, values in copy.deepcopy(changes).items():
        data[section] = {**data.get(section, {}), **values}
    return parse_settings(data, {})


def apply(gateway, **changes):
    settings = configuration(gateway, **changes)
    return gateway.app.apply(settings, judge_from(settings))


@pytest.fixture
async def third():
    upstream = ScriptedUpstream()
    await upstream.start()
    yield upstream
    await upstream.stop()


async def test_threshold_routes_and_profiles_change(gateway):
    assert (await gateway.chat()).headers["x-thinkgate-mode"] == "instruct"
    route = {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep", "profile": "deep"}
    assert apply(gateway, profiles={"deep": {"mode": "thinking"}}, routes={"more": route}) == []
    assert (await gateway.chat(model="more")).headers["x-thinkgate-mode"] == "thinking"
    assert (await gateway.chat()).headers["x-thinkgate-mode"] == "instruct"
    names = [m["id"] for m in (await gateway.http.get("/v1/models")).json()["data"]]
    assert "more" in names
    assert await gateway.metric("thinkgate_threshold", profile="deep") == 0.5
    apply(gateway)
    assert (await gateway.chat(model="more")).status_code == 404
    assert gateway.app.meters.registry.get_sample_value("thinkgate_threshold", {"profile": "deep"}) is None


async def test_the_judge_changes(gateway):
    apply(gateway, judge={"score": 0.9})
    answer = await gateway.chat()
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-score"]) == ("thinking", "0.9000")


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_request_under_way_ends_as_it_began(gateway, third, streaming):
    go = asyncio.Event()

    async def waits(turn):
        await go.wait()
        return await (stream("chat_instruct_stream_usage") if streaming else whole())(turn)

    gateway.fast.default = waits
    task = asyncio.create_task(gateway.chat(stream=streaming))
    assert await soon(lambda: len(gateway.fast.requests) == 1, 10)
    apply(gateway, pools={"fast": {"model": "instruct", "replicas": [third.url]}})
    assert gateway.in_flight() == 1, "what is in flight at a replica that leaves still counts"
    assert (await gateway.chat(stream=streaming)).status_code == 200
    assert len(third.requests) == 1
    go.set()
    answer = await task
    assert answer.status_code == 200
    if streaming:
        assert answer.content.endswith(b"data: [DONE]\n\n")
        assert b'"error"' not in answer.content
    await gateway.idle()
    assert gateway.fast.connections == 1


async def test_replicas_that_stay_keep_their_connections(gateway, third):
    await gateway.chat()
    apply(gateway, pools={"fast": {"model": "instruct", "replicas": [gateway.fast.url, third.url]}})
    for i in range(20):
        await gateway.chat(messages=[{"role": "user", "content": str(i)}])
    assert gateway.fast.connections == 1
    assert third.requests
    apply(gateway, pools={"fast": {"model": "instruct", "replicas": [third.url]}})
    before = len(gateway.fast.requests)
    for i in range(5):
        await gateway.chat(messages=[{"role": "user", "content": str(i)}])
    assert len(gateway.fast.requests) == before


async def test_a_pool_that_goes_lets_its_requests_finish(gateway, third):
    go = asyncio.Event()

    async def waits(turn):
        await go.wait()
        return await whole()(turn)

    gateway.deep.default = waits
    task = asyncio.create_task(gateway.chat(model="auto-thinking"))
    assert await soon(lambda: len(gateway.deep.requests) == 1, 10)
    settings = configuration(gateway, routes={"auto": {"thinking": "fast", "family": "qwen3-2507", "instruct": "fast"}})
    pools = {"fast": settings.pools["fast"]}
    gateway.app.apply(settings.model_copy(update={"pools": pools}), judge_from(settings))
    assert set((await gateway.http.get("/health")).json()["pools"]) == {"fast"}
    go.set()
    assert (await task).status_code == 200
    assert (await gateway.chat(model="auto-thinking")).status_code == 200


async def test_keys_and_limits_change_and_what_was_used_stays_used(start):
    keys = [{"key": "a", "limits": {"requests_per_minute": 2}}, {"key": "gone"}]
    gateway = await start(auth={"keys": keys})
    a = {"authorization": "Bearer a"}
    for _ in range(2):
        assert (await gateway.chat(a)).status_code == 200
    apply(gateway, auth={"keys": [{"key": "a", "limits": {"requests_per_minute": 3}}, {"key": "b"}]})
    assert [(await gateway.chat(a)).status_code for _ in range(2)] == [200, 429]
    assert (await gateway.chat({"authorization": "Bearer gone"})).status_code == 401
    assert (await gateway.chat({"authorization": "Bearer b"})).status_code == 200


async def test_requests_that_wait_for_a_place_stay_in_the_queue_and_get_the_new_ones(start):
    gateway = await start()
    apply(gateway, pools={"fast": {"model": "instruct", "replicas": [gateway.fast.url], "max_in_flight": 1}})
    hold = asyncio.Event()

    async def waits(turn):
        await hold.wait()
        return await whole()(turn)

    gateway.fast.default = waits
    tasks = [asyncio.create_task(gateway.chat()) for _ in range(4)]
    assert await soon(lambda: gateway.app.pools["fast"].waiting == 3, 10)
    apply(gateway, pools={"fast": {"model": "instruct", "replicas": [gateway.fast.url], "max_in_flight": 3}})
    assert await soon(lambda: len(gateway.fast.requests) == 3, 10)
    places = gateway.app.pools["fast"].places
    assert (places.in_use, places.waiting) == (3, 1)
    hold.set()
    assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}
    assert gateway.app.pools["fast"].places.in_use == 0


async def test_limits_that_go_let_all_in(start):
    gateway = await start()
    apply(gateway, pools={"fast": {"model": "instruct", "replicas": [gateway.fast.url], "max_in_flight": 1}})
    hold = asyncio.Event()

    async def waits(turn):
        await hold.wait()
        return await whole()(turn)

    gateway.fast.default = waits
    tasks = [asyncio.create_task(gateway.chat()) for _ in range(4)]
    assert await soon(lambda: gateway.app.pools["fast"].waiting == 3, 10)
    apply(gateway)
    assert await soon(lambda: len(gateway.fast.requests) == 4, 10)
    hold.set()
    assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}


@pytest.mark.parametrize("connect_s", [CONNECT_S, CONNECT_S + 1], ids=["stays", "made anew"])
async def test_a_frozen_replica_of_the_old_configuration_still_lets_its_requests_go(start, third, connect_s):
    health = {"interval_s": 0.05, "timeout_s": 0.1, "down_after": 1}
    gateway = await start(health=health)

    async def freezes(turn):
        await turn.wait_gone(30)

    gateway.fast.default = freezes
    task = asyncio.create_task(gateway.chat())
    assert await soon(lambda: len(gateway.fast.requests) == 1, 10)
    pools = {"fast": {"model": "instruct", "replicas": [gateway.fast.url, third.url]}}
    apply(gateway, health=health, pools=pools, timeouts={"connect_s": connect_s})
    gateway.fast.frozen = True
    assert (await asyncio.wait_for(task, 30)).status_code == 200


async def test_a_frozen_replica_of_a_pool_that_is_no_more_lets_its_requests_go(start):
    health = {"interval_s": 0.05, "timeout_s": 0.1, "down_after": 1}
    gateway = await start(health=health)
    pools = {"gone": {"model": "instruct", "replicas": [gateway.fast.url]}}
    apply(gateway, health=health, pools=pools, routes={
        "auto": {"family": "qwen3-2507", "instruct": "gone", "thinking": "deep"}})  # fmt: skip

    async def freezes(turn):
        await turn.wait_gone(30)

    gateway.fast.default = freezes
    task = asyncio.create_task(gateway.chat())
    assert await soon(lambda: len(gateway.fast.requests) == 1, 10)
    apply(gateway, health=health)
    assert "gone" not in gateway.app.pools
    gateway.fast.frozen = True
    answer = await asyncio.wait_for(task, 30)
    assert (answer.status_code, answer.headers["x-thinkgate-pool"]) == (200, "deep")
    apply(gateway, health=health)
    assert gateway.app.leaving == [], "and the pool is forgotten"


async def test_what_needs_a_restart_is_told_and_stays(gateway):
    told = apply(gateway, server={"listeners": 5}, decisions={"url": "sqlite:///other.db"})
    assert told == ["server.listeners", "decisions"]
    assert gateway.app.settings.server.listeners == 1
    assert gateway.app.decisions is None


async def test_limits_of_the_listening_side_change_at_once(gateway):
    apply(gateway, server={"max_body_bytes": 1024})
    big = [{"role": "user", "content": "x" * 2000}]
    assert (await gateway.chat(messages=big)).status_code == 413
    assert (await gateway.chat(messages=HELLO)).status_code == 200


async def test_a_configuration_that_cannot_be_used_changes_nothing(gateway):
    before = gateway.app.settings
    for changes in (
        {"pools": {"fast": {"model": "m", "replicas": ["https://x"], "tls": {"ca": "/no/such.pem"}}}},
        {"auth": {"keys_file": "/no/such/keys.json"}},
    ):
        with pytest.raises(ConfigError):
            apply(gateway, **changes)
        assert gateway.app.settings is before
    assert (await gateway.chat()).status_code == 200


async def test_a_hundred_reloads_under_load_lose_nothing_and_leave_nothing(gateway, third):
    stop = False
    statuses = []

    async def ask(i):
        while not stop:
            answer = await gateway.chat(stream=bool(i % 2), messages=[{"role": "user", "content": str(i)}])
            statuses.append(answer.status_code)
            assert b'"error"' not in answer.content

    tasks = [asyncio.create_task(ask(i)) for i in range(10)]
    for i in range(100):
        urls = [[gateway.fast.url], [gateway.fast.url, third.url], [third.url]][i % 3]
        apply(gateway, pools={"fast": {"model": "instruct", "replicas": urls}}, judge={"score": (i % 2) * 0.9})
        await asyncio.sleep(0.01)
    stop = True
    await asyncio.gather(*tasks)
    assert set(statuses) == {200}
    assert len(statuses) > 50
    await gateway.idle()


# ---------------------------------------------------------------------------------------- the file


class Target:
    def __init__(self):
        self.applied = []

    def apply(self, settings, judge):
        self.applied.append(settings)
        return []


@pytest.fixture
async def watched(tmp_path, monkeypatch):
    monkeypatch.setattr(reload_module, "POLL_S", 0.02)
    path = tmp_path / "c.yaml"
    path.write_text("1")
    target = Target()

    def load():
        text = path.read_text()
        if not text.isdigit():
            raise ConfigError("bad")
        return int(text), None

    reloader = Reloader(target, load, FileWatch(path))
    reloader.start()
    yield target, path, reloader
    await reloader.stop()


async def test_a_change_of_the_file_reloads_once(watched):
    target, path, _ = watched
    path.write_text("22")
    assert await soon(lambda: target.applied == [22], 5)
    await asyncio.sleep(0.2)
    assert target.applied == [22]


async def test_a_signal_reloads_even_an_unchanged_file(watched):
    target, _, reloader = watched
    reloader.request()
    assert await soon(lambda: target.applied == [1], 5)


async def test_a_bad_file_is_refused_and_a_good_one_after_it_is_taken(watched, caplog):
    target, path, _ = watched
    path.write_text("nonsense")
    assert await soon(lambda: "refused, the old one stays in force: bad" in caplog.text, 5)
    assert target.applied == []
    path.unlink()
    await asyncio.sleep(0.1)
    path.write_text("333")
    assert await soon(lambda: target.applied == [333], 5)


async def test_a_file_that_is_still_being_written_is_waited_for(watched):
    target, path, _ = watched
    for i in range(1, 11):
        path.write_text("9" * i)
        await asyncio.sleep(0.01)
    assert await soon(lambda: target.applied and target.applied[-1] == int("9" * 10), 5)
    assert len(target.applied) < 8


async def test_whatever_goes_wrong_the_watching_goes_on(watched, monkeypatch):
    target, path, _ = watched
    monkeypatch.setattr(target, "apply", lambda *_: 1 / 0)
    path.write_text("44")
    await asyncio.sleep(0.2)
    monkeypatch.undo()
    path.write_text("555")
    assert await soon(lambda: target.applied == [555], 5)


async def test_a_judge_that_is_promoted_is_taken_without_a_restart(gateway, tmp_path, monkeypatch):
    monkeypatch.setattr(reload_module, "POLL_S", 0.005)
    config, card, loads = tmp_path / "config.yaml", tmp_path / "judge.json", []
    config.write_text("a")
    card.write_text("old")
    reloader = Reloader(
        gateway.app,
        lambda: loads.append(1) or (configuration(gateway), judge_from(configuration(gateway))),
        FileWatch(config, lambda: card),
    )
    reloader.start()
    try:
        await asyncio.sleep(0.05)
        assert not loads
        fresh = tmp_path / "new.json"
        fresh.write_text("newer")
        fresh.replace(card)
        assert await soon(lambda: loads)
        card.unlink()  # a judge that is not there is waited for
        await asyncio.sleep(0.05)
        assert len(loads) == 1
    finally:
        await reloader.stop()
