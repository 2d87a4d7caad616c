"""Everything comes up in order, and everything goes down."""

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app.launch.console import Console
from app.launch.devices import Gpu, Placement
from app.launch.first_requests import ask
from app.launch.plan import Options, Plan, make_plan
from app.launch.process import ChildSpec
from app.launch.service import Pace
from app.launch.supervisor import Supervisor
from tests.app.launch.conftest import FAKE, is_alive, tree_pids

QUICK = Pace(startup_s=60, first_backoff_s=0.05, poll_s=0.05, watch_s=0.1)


@pytest.fixture
def plan(model_dir: Callable[..., Path], tmp_path: Path, free_port: int) -> Iterator[Callable[..., Plan]]:
    """A plan whose engines and gateway are fakes; the behaviour of an engine is its directory's name."""
    plans: list[Plan] = []

    def make(instruct: str = "ready", thinking: str = "tree", gateway: str = "ready") -> Plan:
        command = f"{sys.executable} -S {FAKE}"
        options = Options(
            instruct=str(model_dir(instruct)),
            thinking=str(model_dir(thinking)),
            vllm=command,
            device="cpu",
            port=free_port,
            log_dir=tmp_path / "run",
        )
        made = make_plan(options, os.environ)
        plans.append(made)
        fake = (sys.executable, "-S", str(FAKE), str(free_port), gateway)
        engines = tuple(replace(e, spec=replace(e.spec, grace_s=0.3)) for e in made.engines)
        return replace(made, engines=engines, gateway=replace(made.gateway, command=fake))

    yield make
    for made in plans:
        made.release()


async def until_printed(printed: io.StringIO, text: str) -> None:
    async with asyncio.timeout(60):
        while text not in printed.getvalue():  # noqa: ASYNC110 (it is another process that we wait for)
            await asyncio.sleep(0.02)


async def test_ready_then_one_interrupt_stops_everything(
    plan: Callable[..., Plan], console: Console, printed: io.StringIO
) -> None:
    made = plan()
    running = asyncio.create_task(Supervisor(made, console, pace=QUICK).run())
    await until_printed(printed, "ThinkGate is ready")
    pids = tree_pids(Path(made.engines[1].model.source) / "file")
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(running, 60) == 0
    assert not any(is_alive(pid) for pid in pids)
    text = printed.getvalue()
    assert f"{made.url}/v1" in text
    assert "auto · auto-instruct · auto-thinking · ready · tree" in text
    assert f"curl -i {made.url}/v1/chat/completions" in text
    assert "Ctrl-C stops everything." in text
    for engine in made.engines:
        assert str(engine.spec.log) in text


async def test_an_interrupt_during_the_start_stops_it(
    plan: Callable[..., Plan], console: Console, printed: io.StringIO
) -> None:
    made = plan(instruct="silent")
    running = asyncio.create_task(Supervisor(made, console, pace=QUICK).run())
    pids = await asyncio.to_thread(tree_pids, Path(made.engines[1].model.source) / "file")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 60) == 0
    assert not any(is_alive(pid) for pid in pids)
    assert "ThinkGate is ready" not in printed.getvalue()


async def test_a_second_interrupt_kills_at_once(
    plan: Callable[..., Plan], console: Console, printed: io.StringIO
) -> None:
    made = plan()
    slow = replace(made, engines=tuple(replace(e, spec=replace(e.spec, grace_s=60)) for e in made.engines))
    running = asyncio.create_task(Supervisor(slow, console, pace=QUICK).run())
    await until_printed(printed, "ThinkGate is ready")
    pids = tree_pids(Path(made.engines[1].model.source) / "file")
    os.kill(os.getpid(), signal.SIGINT)
    await until_printed(printed, "Stopping")
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(running, 50) == 130
    assert not any(is_alive(pid) for pid in pids)


async def test_an_engine_that_does_not_start_ends_it_all_with_status_1(
    plan: Callable[..., Plan], console: Console, printed: io.StringIO
) -> None:
    made = plan(instruct="crash")
    assert await asyncio.wait_for(Supervisor(made, console, pace=QUICK).run(), 60) == 1
    text = printed.getvalue()
    assert "thinkgate up: instruct did not start in 3 tries" in text
    assert "CUDA out of memory: boom" in text
    pids = [int(pid) for pid in (Path(made.engines[1].model.source) / "file").read_text().split()]
    assert not any(is_alive(pid) for pid in pids)


async def test_a_gateway_that_does_not_start_ends_it_all(
    plan: Callable[..., Plan], console: Console, printed: io.StringIO
) -> None:
    made = plan(thinking="sick", gateway="usage")
    assert await asyncio.wait_for(Supervisor(made, console, pace=QUICK).run(), 60) == 1
    assert "thinkgate up: gateway did not start in its only try" in printed.getvalue()


async def test_a_crash_later_is_reported_and_repaired(
    plan: Callable[..., Plan], console: Console, printed: io.StringIO
) -> None:
    made = plan()
    running = asyncio.create_task(Supervisor(made, console, pace=QUICK).run())
    await until_printed(printed, "ThinkGate is ready")
    os.kill(tree_pids(Path(made.engines[1].model.source) / "file")[0], signal.SIGKILL)
    await until_printed(printed, "thinking: ready again after")
    assert "thinking: was killed by SIGKILL" in printed.getvalue()
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(running, 60) == 0


def test_engines_on_one_gpu_start_one_after_another(plan: Callable[..., Plan]) -> None:
    made = plan("one", "two")
    assert not made.one_after_another
    gpus = [Gpu(str(i), f"GPU-{i}", "H100", 80_000, 0) for i in range(2)]
    shared = [replace(e, placement=Placement((gpus[0],))) for e in made.engines]
    apart = [replace(e, placement=Placement((gpu,))) for e, gpu in zip(made.engines, gpus, strict=True)]
    assert replace(made, engines=tuple(shared)).one_after_another
    assert not replace(made, engines=tuple(apart)).one_after_another


async def test_with_one_gpu_the_second_engine_waits_for_the_first(
    plan: Callable[..., Plan], console: Console, printed: io.StringIO
) -> None:
    made = plan(instruct="crash")
    gpu = Gpu("0", "GPU-0", "H100", 80_000, 0)
    made = replace(made, engines=tuple(replace(e, placement=Placement((gpu,))) for e in made.engines))
    assert await asyncio.wait_for(Supervisor(made, console, pace=QUICK).run(), 60) == 1
    assert not made.engines[1].spec.log.exists()


STREAM = [
    {"model": "deep", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
    {
        "model": "deep",
        "choices": [{"index": 0, "delta": {"reasoning": "two and two", "reasoning_content": "two and two"}}],
    },
    {"model": "deep", "choices": [{"index": 0, "delta": {"content": "4"}}]},
    {"model": "deep", "choices": [], "usage": {"total_tokens": 5}},
]


@pytest.fixture
async def gateway_answers() -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    made: list[httpx.AsyncClient] = []

    def make(status: int, text: str, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        def handle(request: httpx.Request) -> httpx.Response:
            assert json.loads(request.content)["model"] == "auto"
            assert request.headers.get("authorization") == "Bearer k"
            return httpx.Response(status, text=text, headers=headers)

        made.append(httpx.AsyncClient(transport=httpx.MockTransport(handle)))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


async def test_a_first_request_shows_where_it_went_and_why(
    gateway_answers: Callable[..., httpx.AsyncClient], console: Console
) -> None:
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in STREAM) + "data: [DONE]\n\n"
    facts = {"mode": "thinking", "reason": "judge", "score": "0.91", "threshold": "0.5", "judge": "linear@1"}
    client = gateway_answers(200, text, {f"x-thinkgate-{name}": value for name, value in facts.items()})
    first, thought, answer = (await ask(client, "http://gateway", "2+2?", "k", console)).lines()
    assert first.startswith("→ thinking by deep, ")
    assert first.endswith("(judge: linear@1 scored 0.91, threshold 0.5)")
    assert (thought.strip(), answer.strip()) == ("thought: two and two", "answer:  4")


async def test_a_first_request_that_fails_says_so(
    gateway_answers: Callable[..., httpx.AsyncClient], console: Console
) -> None:
    client = gateway_answers(503, '{"error": {"message": "no backend"}}')
    first, answer = (await ask(client, "http://gateway", "2+2?", "k", console)).lines()
    assert first.startswith("→ error")
    assert "HTTP 503" in first
    assert "no backend" in answer


def test_children_of_the_plan_are_what_the_user_asked_for(plan: Callable[..., Plan]) -> None:
    made = plan("one", "two")
    specs: list[ChildSpec] = [engine.spec for engine in made.engines]
    assert [spec.name for spec in specs] == ["instruct", "thinking"]
    assert specs[0].ready_url == f"http://127.0.0.1:{made.engines[0].port.port}/health"
    assert made.gateway.ready_url == f"{made.url}/health/ready"
