"""Gateways whose decisions are in a real PostgreSQL server, which is killed and restarted under them."""

import asyncio

from tests.app.conftest import soon, start, way  # noqa: F401 - fixtures


def logged(url):
    return {"decisions": {"url": url}}


async def decisions(gateway, **params):
    answer = await gateway.http.get("/v1/decisions", params={"limit": 500, **params})
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["data"]]


async def test_two_gateways_share_a_log(start, url):  # noqa: F811
    one, other = await start(**logged(url)), await start(**logged(url))
    ids = [(await gateway.chat()).headers["x-thinkgate-decision-id"] for gateway in (one, other)]
    assert set(await decisions(other)) >= {ids[1]}
    assert await decisions(one) == (await decisions(other))
    assert set(await decisions(one)) == set(ids)
    body, key = {"decision_id": ids[0], "verdict": "failed"}, {"idempotency-key": "k"}
    answers = [await gateway.http.post("/v1/feedback", json=body, headers=key) for gateway in (other, one, other)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.content for answer in answers}) == 1
    assert await one.metric("thinkgate_feedback_total", mode="instruct", verdict="failed") == 0
    assert await other.metric("thinkgate_feedback_total", mode="instruct", verdict="failed") == 1
    assert (await one.http.get("/v1/savings")).json()["total"]["not_compared"] == 2


async def test_no_request_fails_and_none_is_lost_while_the_server_is_killed_and_restarted(start, url, postgres, caplog):  # noqa: F811
    gateway = await start(**logged(url))
    ids, stop = [], asyncio.Event()

    async def load():
        while not stop.is_set():
            answer = await gateway.chat()
            assert answer.status_code == 200, answer.text
            ids.append(answer.headers["x-thinkgate-decision-id"])

    clients = [asyncio.create_task(load()) for _ in range(4)]
    try:
        for end in (postgres.kill, postgres.stop):
            seen = len(ids)
            assert await soon(lambda seen=seen: len(ids) > seen + 20, 60)
            await asyncio.to_thread(end)
            seen = len(ids)
            assert await soon(lambda seen=seen: len(ids) > seen + 20, 60)  # requests go on meanwhile
            assert (await gateway.http.get("/v1/decisions")).status_code == 503
            await asyncio.to_thread(postgres.start)
    finally:
        stop.set()
        done = await asyncio.gather(*clients, return_exceptions=True)
    assert done == [None] * 4
    kept = await soon(lambda: "written again" in caplog.text, 30)
    assert kept
    answer, found = (await gateway.http.get("/v1/decisions", params={"limit": 500})).json(), []
    while True:
        found += [one["id"] for one in answer["data"]]
        if not answer["has_more"]:
            break
        answer = (await gateway.http.get("/v1/decisions", params={"limit": 500, "before": answer["last_id"]})).json()
    assert sorted(found) == sorted(ids)
    assert await gateway.metric("thinkgate_decisions_dropped_total", cause="queue_full") == 0


async def test_a_gateway_starts_without_its_server_and_finds_it_later(start, url, postgres):  # noqa: F811
    await asyncio.to_thread(postgres.stop)
    try:
        gateway = await start(**logged(url))
        ids = [(await gateway.chat()).headers["x-thinkgate-decision-id"] for _ in range(3)]
        assert (await gateway.http.get("/v1/decisions")).status_code == 503
    finally:
        await asyncio.to_thread(postgres.start)
    assert await decisions(gateway) == ids[::-1]
