"""What a client sees when a real engine dies or is not there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
import yaml

from .conftest import (
    KEY,
    ROOT,
    START_LIMIT_S,
    Server,
    config_for,
    free_port,
    hard_question,
    start,
    start_engine,
    start_gateway,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
HARD, _ = hard_question()


@pytest.fixture
def doomed(log_dir: Path) -> Iterator[Server]:
    """A thinking engine to be killed."""
    server = start_engine("thinking", log_dir, "doomed")
    try:
        server.wait_ready("/health", START_LIMIT_S)
        yield server
    finally:
        server.stop()


def test_an_engine_killed_mid_stream_ends_the_stream_in_an_error(
    engines: dict[str, Server], doomed: Server, log_dir: Path
) -> None:
    pools = {
        "fast": {"model": "mini-instruct", "replicas": [engines["instruct"].url]},
        "deep": {"model": "doomed", "replicas": [doomed.url]},
    }
    gateway = start_gateway(config_for(engines, pools=pools, health={"interval_s": 1}), log_dir, "gateway-doomed")
    try:
        with openai.OpenAI(base_url=gateway.url + "/v1", api_key=KEY, max_retries=0, timeout=60) as client:
            stream = client.chat.completions.create(
                model="auto",
                messages=[{"role": "user", "content": HARD}],
                max_tokens=1900,
                stream=True,
                extra_body={"ignore_eos": True},
            )
            seen = 0
            with pytest.raises(openai.APIError) as error:  # noqa: PT012 - the error comes out of the loop
                for _ in stream:
                    seen += 1
                    if seen == 20:
                        os.killpg(doomed.process.pid, signal.SIGKILL)
            assert seen >= 20
            assert not isinstance(error.value, openai.APITimeoutError)
            # The judge chose thinking, which is gone now: the other mode answers, and says so.
            answer = client.chat.completions.create(
                model="auto", messages=[{"role": "user", "content": HARD}], max_tokens=50
            )
            assert answer.model == "mini-instruct"
            assert answer.model_extra is not None
            assert answer.model_extra["routing"]["reason"] == "fallback"
            assert answer.model_extra["routing"]["fallback_from"] == "deep"
            # A client that asked for thinking is not given something else behind its back.
            with pytest.raises(openai.InternalServerError) as refused:
                client.chat.completions.create(model="auto-thinking", messages=[{"role": "user", "content": HARD}])
            assert refused.value.status_code == 503
            assert int(refused.value.response.headers["retry-after"]) >= 1
        time.sleep(1.5)
        assert httpx.get(gateway.url + "/health", trust_env=False).json()["pools"]["deep"]["up"] is False
    finally:
        assert gateway.stop() == 0


def test_nobody_behind_a_route_is_503_and_not_ready(engines: dict[str, Server], log_dir: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    pools = {"fast": {"model": "a", "replicas": [nobody]}, "deep": {"model": "b", "replicas": [nobody]}}
    port = free_port()
    path = log_dir / "nobody.yaml"
    path.write_text(yaml.safe_dump(config_for(engines, pools=pools)))
    assert (
        subprocess.run(
            [sys.executable, "-m", "app", "serve", "--config", str(path), "--check"], cwd=ROOT, check=False
        ).returncode
        == 0
    )
    command = [sys.executable, "-m", "app", "serve", "--config", str(path), "--port", str(port)]
    gateway = start(command, log_dir / "nobody.log", f"http://127.0.0.1:{port}")
    try:
        gateway.wait_ready("/health/live", 60)
        assert httpx.get(gateway.url + "/health/ready", trust_env=False).status_code == 503
        answer = httpx.post(
            gateway.url + "/v1/chat/completions",
            json={"model": "auto", "messages": [{"role": "user", "content": "Hello"}]},
            headers={"authorization": f"Bearer {KEY}"},
            trust_env=False,
        )
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert nobody not in answer.text
    finally:
        assert gateway.stop() == 0
