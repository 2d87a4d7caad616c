#!/usr/bin/env bash
# Install the tools that `make deploy-test` runs, from the system's package manager and the Python package index: Prometheus,
# a container engine, Helm, proxies, Redis, linters and schemas. Safe to repeat; fails where one cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
UV="${UV:-.venv/bin/uv}"
SUDO=""
[ "$(id -u)" = 0 ] || SUDO=sudo

missing=()
for pair in promtool:prometheus dockerd:docker.io /usr/bin/docker-compose:docker-compose mmdebstrap:mmdebstrap ip:iproute2 \
    nginx:nginx-light haproxy:haproxy redis-server:redis-server; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
if [ "${#missing[@]}" -gt 0 ]; then
    command -v apt-get >/dev/null || { echo "install these first: ${missing[*]} (no apt-get here)" >&2; exit 1; }
    echo "[deploy-test] installing ${missing[*]}"
    # RUNLEVEL=1: the packages must not start their services.
    $SUDO apt-get update -qq
    $SUDO env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

VERSIONS=tests/deploy/tools.txt
STAMP=.venv-deploy/.ready
if ! cmp -s "$VERSIONS" "$STAMP"; then
    echo "[deploy-test] installing $(grep -c == "$VERSIONS") Python packages into .venv-deploy"
    "$UV" venv -q --allow-existing -p .venv/bin/python .venv-deploy
    "$UV" pip install -q -p .venv-deploy/bin/python -r "$VERSIONS"
    cp "$VERSIONS" "$STAMP"
fi

RAY=2.60.0
if ! [ "$(cat .venv-ray/.ready 2>/dev/null)" = "$RAY" ]; then
    echo "[deploy-test] installing Ray $RAY into .venv-ray (600 MB)"
    "$UV" venv -q --allow-existing -p .venv/bin/python .venv-ray
    "$UV" pip install -q -p .venv-ray/bin/python -e . "ray[serve,data]==$RAY"
    echo "$RAY" > .venv-ray/.ready
fi
