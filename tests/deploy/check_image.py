"""The image, built for real on a stand-in base; the compose stack, up in a private network with a real Prometheus."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.engine import COMPOSE, DOCKER, Docker, daemon
from tests.deploy.tools import ROOT, TOOLS, output, tool, wait_for

IMAGE = "thinkgate:0.1.0"
BASES = {"full.tar": "python:3.11-bookworm", "slim.tar": "python:3.11-slim-bookworm"}
HEAVIEST_MB = 200
KEY = "deploy-test-key"
SUM = "Last digit, left to right: 7 +5 *3 -8 *7"
COMPOSE_FILES = ["-f", "deploy/compose/compose.yaml", "-f", "deploy/compose/compose.cpu.yaml"]
ENVIRONMENT = {"THINKGATE_KEY": KEY, "VLLM_CPU_IMAGE": "stand-in/vllm", "COMPOSE_PROJECT_NAME": "check"}

STAND_INS = {
    "stand-in/vllm": f"""
FROM {IMAGE}
COPY backend.py /backend.py
ENTRYPOINT ["python", "/backend.py"]
HEALTHCHECK NONE
""",
    "prom/prometheus:v2.53.4": f"""
FROM {BASES["slim.tar"]}
COPY prometheus /bin/prometheus
COPY --chown=65534:65534 empty /prometheus
USER 65534
ENTRYPOINT ["/bin/prometheus"]
""",
}


def pip_settings() -> configparser.RawConfigParser:
    """This machine's pip configuration, wherever it is kept; the environment's part of it aside."""
    settings = configparser.RawConfigParser()
    for line in output(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.partition(".")
        if section != ":env:":
            if not settings.has_section(section):
                settings.add_section(section)
            settings.set(section, option, value.strip("'\""))
    return settings


def pip_secrets(folder: Path) -> list[str]:
    """pip's configuration and the certificates to trust, as BuildKit secrets."""
    conf, ca = folder / "pip.conf", folder / "ca.pem"
    with conf.open("w") as file:
        pip_settings().write(file)
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    ca.write_bytes(Path(bundle).read_bytes() if bundle else b"")
    return [f"--secret=id=pip_conf,src={conf}", f"--secret=id=ca,src={ca}"]


def build(docker: Docker, secrets: list[str], tag: str, *more: str) -> None:
    docker.docker("build", "--network=host", "--quiet", f"--tag={tag}", *secrets, *more, ".")


def is_stale(docker: Docker, name: str, archive: Path) -> bool:
    """Is the image not there, or older than the archive that it is imported from?"""
    found = docker.run(DOCKER, "inspect", "--format={{.Created}}", name, check=False)
    if found.returncode:
        return True
    return datetime.fromisoformat(found.stdout[:19] + "+00:00").timestamp() < archive.stat().st_mtime


@pytest.fixture(scope="module")
def built() -> Path:
    """A folder with all images; it is kept, so that what has not changed is not built again."""
    output("tests/deploy/stand_in.sh", str(TOOLS.parent / "images"))
    folder = TOOLS.parent / "docker"
    folder.mkdir(exist_ok=True)
    with daemon(folder, private=False) as docker, tempfile.TemporaryDirectory() as scratch:
        for archive, name in BASES.items():
            if is_stale(docker, name, TOOLS.parent / "images" / archive):
                docker.docker("import", str(TOOLS.parent / "images" / archive), name)
        secrets = pip_secrets(Path(scratch))
        build(docker, secrets, IMAGE, "--build-arg=REVISION=check")
        build(docker, secrets, "thinkgate:again", "--no-cache", "--build-arg=REVISION=check")
        for name, text in STAND_INS.items():
            context = Path(scratch) / name.split("/")[0]
            (context / "empty").mkdir(parents=True)
            (context / "Dockerfile").write_text(text, "utf-8")
            shutil.copy(ROOT / "tests/deploy/backend.py", context)
            shutil.copy(tool("prometheus"), context)
            docker.docker("build", "--quiet", f"--tag={name}", str(context))
    return folder


@pytest.fixture(scope="module")
def docker(built: Path) -> Iterator[Docker]:
    """The daemon that containers run under."""
    with daemon(built, private=True) as running:
        yield running


def compose(docker: Docker, *words: str) -> str:
    return docker.run(COMPOSE, *COMPOSE_FILES, *words, **ENVIRONMENT).stdout.strip()


@pytest.fixture(scope="module")
def stack(docker: Docker) -> Iterator[Docker]:
    """Gateway, two backends and Prometheus, up."""
    try:
        compose(docker, "up", "-d", "prometheus")
        yield docker
    finally:
        compose(docker, "down", "--volumes", "--timeout=5")


def gateway(docker: Docker) -> str:
    return compose(docker, "ps", "-q", "gateway")


def in_image(docker: Docker, *words: str, image: str = IMAGE) -> str:
    return docker.docker("run", "--rm", "--network=none", f"--entrypoint={words[0]}", image, *words[1:])


# ---------------------------------------------------------------------- files


def test_dockerfiles_have_no_lint() -> None:
    output(tool("hadolint"), "Dockerfile", "deploy/engine/Dockerfile")


@pytest.mark.parametrize("overlay", ["", "gpu", "gpu2", "gpu8", "cpu"])
def test_compose_files_follow_the_specification(overlay: str) -> None:
    names = ["compose.yaml", *([f"compose.{overlay}.yaml"] if overlay else [])]
    files = [f"deploy/compose/{name}" for name in names]
    output(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *files)
    if overlay:
        words = [word for file in files for word in ("-f", file)]
        output(COMPOSE, *words, "config", "-q", env=os.environ | {"THINKGATE_KEY": KEY})


def test_compose_asks_for_the_key() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "THINKGATE_KEY"}
    done = subprocess.run([COMPOSE, *COMPOSE_FILES, "config", "-q"], env=environment, capture_output=True, cwd=ROOT)
    assert done.returncode != 0
    assert b"THINKGATE_KEY" in done.stderr


# ---------------------------------------------------------------------- the image


def test_image_runs_as_nobody_in_particular(docker: Docker) -> None:
    config = docker.inspect(IMAGE)["Config"]
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Labels"]["org.opencontainers.image.revision"] == "check"
    assert config["Labels"]["io.thinkgate.sbom.path"] == "/opt/thinkgate/sbom.cdx.json"


def test_image_is_slim(docker: Docker) -> None:
    size, base = (docker.inspect(name)["Size"] / 1e6 for name in (IMAGE, BASES["slim.tar"]))
    print(f"the image has {size:.0f} MB, its base {base:.0f} MB")
    assert size <= HEAVIEST_MB
    for absent in ("gcc", "pip"):
        assert in_image(docker, "sh", "-c", f"command -v {absent} || echo absent") == "absent"


def test_versions_are_those_of_the_lock_file(docker: Docker) -> None:
    sbom = json.loads(in_image(docker, "cat", "/opt/thinkgate/sbom.cdx.json"))
    installed = {part["name"].lower().replace("_", "-"): part["version"] for part in sbom["components"]}
    text = (ROOT / "constraints.txt").read_text("utf-8")
    locked = {name.lower(): version for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE)}
    del installed["thinkgate"]
    assert len(installed) > 15
    wrong = {name: version for name, version in installed.items() if f"{name}=={version}" not in text}
    assert not wrong, f"{wrong}; locked: { ({name: locked.get(name) for name in wrong}) }"


def test_nothing_of_the_build_stays(docker: Docker) -> None:
    settings = pip_settings()
    values = [value for section in settings.sections() for _, value in settings.items(section)]
    hosts = {match[1] for value in values if (match := re.search(r"https?://(?:[^@/]*@)?([^/:]+)", value))}
    history = docker.docker("history", "--no-trunc", IMAGE)
    for host in hosts:
        assert host not in history
        assert in_image(docker, "sh", "-c", f"grep -rlF {host} /opt/thinkgate /etc || echo none") == "none"
        assert host not in (ROOT / "Dockerfile").read_text("utf-8")
    assert in_image(docker, "sh", "-c", "ls /etc/pip.conf /run/secrets/ca 2>/dev/null || echo none") == "none"


TREE = "cd /opt/thinkgate && find . -type f | LC_ALL=C sort | xargs sha256sum"


def test_building_again_gives_the_same_files(docker: Docker) -> None:
    first, again = (in_image(docker, "sh", "-c", TREE, image=image) for image in (IMAGE, "thinkgate:again"))
    assert len(first.splitlines()) > 500
    differ = {line.split("  ")[1] for line in set(first.splitlines()) ^ set(again.splitlines())}
    assert not differ, sorted(differ)[:20]


def test_a_bad_configuration_ends_with_a_status(docker: Docker) -> None:
    done = docker.run(DOCKER, "run", "--rm", "--network=none", IMAGE, check=False)
    assert done.returncode not in (0, 125, 126, 127)
    assert "/etc/thinkgate/gateway.yaml" in done.stderr


# ---------------------------------------------------------------------- the stack


def asking(docker: Docker, **body: Any) -> "subprocess.Popen[str]":
    message = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": SUM}]} | body
    words = [sys.executable, "tests/deploy/ask.py", "http://127.0.0.1:8080", KEY, json.dumps(message)]
    return subprocess.Popen(docker.inside(*words), stdout=subprocess.PIPE, text=True, cwd=ROOT)


def answer_of(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, _ = process.communicate(timeout=90)
    return dict(json.loads(out.splitlines()[-1]))


@pytest.mark.parametrize(("text", "mode"), [("hello", "instruct"), (SUM, "thinking")])
def test_a_stream_is_routed_and_arrives_in_pieces(stack: Docker, text: str, mode: str) -> None:
    answer = answer_of(asking(stack, messages=[{"role": "user", "content": text}]))
    assert answer["status"] == 200
    assert answer["headers"]["x-thinkgate-mode"] == mode
    assert answer["headers"]["x-thinkgate-reason"] == "judge"
    assert len(answer["pieces"]) >= 3
    whole = "".join(piece for _, piece in answer["pieces"])
    assert whole.endswith("data: [DONE]\n\n")
    assert ("reasoning" in whole) == (mode == "thinking")
    assert answer["pieces"][-1][0] - answer["pieces"][0][0] > 0.02  # not held back until the end


def test_the_gateway_has_no_rights(stack: Docker) -> None:
    container = gateway(stack)
    facts = stack.inspect(container)
    assert facts["HostConfig"]["ReadonlyRootfs"]
    assert facts["State"]["Health"]["Status"] == "healthy"
    status = stack.docker("exec", container, "cat", "/proc/1/status")
    assert re.search(r"^Uid:\s+65532\s+65532", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    for place in ("/", "/opt/thinkgate", "/etc/thinkgate"):
        done = stack.run(DOCKER, "exec", container, "touch", f"{place}/x", check=False)
        assert done.returncode != 0, f"{place} can be written"
    assert stack.docker("exec", container, "ls", "/var/lib/thinkgate").startswith("decisions.db")


def test_prometheus_scrapes_all_and_has_the_rules(stack: Docker) -> None:
    def ask(path: str) -> Any:
        code = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/api/v1/{path}').read().decode())"
        return json.loads(output(*stack.inside(sys.executable, "-c", code)))["data"]

    def all_up() -> bool:
        targets = ask("targets")["activeTargets"]
        return len(targets) == 3 and {target["health"] for target in targets} == {"up"}

    wait_for("three targets", all_up, 90)
    assert sum(len(group["rules"]) for group in ask("rules")["groups"]) > 50


def test_sigterm_lets_a_stream_finish(stack: Docker) -> None:
    """Last: it ends the gateway."""
    process = asking(stack, messages=[{"role": "user", "content": "long"}], max_tokens=500)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    container = gateway(stack)
    began = time.monotonic()
    stack.docker("kill", "--signal=SIGTERM", container)
    answer = answer_of(process)
    assert not answer["error"]
    assert answer["pieces"][-1][1].endswith("data: [DONE]\n\n")
    assert answer["pieces"][-1][0] > 1.5  # the stream outlived the signal
    wait_for("the end", lambda: not stack.inspect(container)["State"]["Running"], 30)
    assert time.monotonic() - began < 30
    assert stack.inspect(container)["State"]["ExitCode"] == 0


def test_the_compose_configuration_is_what_the_image_reads() -> None:
    data = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text("utf-8"))["services"]["gateway"]
    assert data["read_only"] is True
    assert data["cap_drop"] == ["ALL"]
    assert data["command"][-1] in data["volumes"][0]
