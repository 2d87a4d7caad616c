#!/usr/bin/env bash
# Install the gateways that `make bench-peers` measures beside ThinkGate: nginx from the system's package manager, each of the
# others from the Python package index into an environment of its own, .venv-bench-NAME. Safe to repeat.
#
#     tests/bench/peers.sh [nginx | vllm-router | sglang-router | litellm]...      all of them where none is named
set -euo pipefail
cd "$(dirname "$0")/../.."
UV="${UV:-.venv/bin/uv}"
SUDO=""
[ "$(id -u)" = 0 ] || SUDO=sudo

# The versions that docs/benchmarks.md was measured with. LiteLLM 1.107.0 on the index was a compromised upload: not that one.
declare -A PACKAGES=(
    [vllm-router]="vllm-router==0.1.17"
    [sglang-router]="sglang-router==0.3.2"
    [litellm]="litellm[proxy]==1.106.0"
)

[ "$#" -gt 0 ] || set -- nginx vllm-router sglang-router litellm
for name in "$@"; do
    if [ "$name" = nginx ]; then
        command -v nginx >/dev/null && continue
        command -v apt-get >/dev/null || { echo "install nginx first (no apt-get here)" >&2; exit 1; }
        echo "[bench-peers] installing nginx-light"
        # RUNLEVEL=1: the package must not start its service.
        $SUDO apt-get update -qq
        $SUDO env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light >/dev/null
        continue
    fi
    package="${PACKAGES[$name]:-}"
    [ -n "$package" ] || { echo "no such peer: $name (nginx, ${!PACKAGES[*]})" >&2; exit 2; }
    home=".venv-bench-$name"
    [ "$(cat "$home/.ready" 2>/dev/null)" != "$package" ] || continue
    echo "[bench-peers] installing $package into $home"
    "$UV" venv -q --allow-existing -p .venv/bin/python "$home"
    "$UV" pip install -q -p "$home/bin/python" "$package"
    echo "$package" >"$home/.ready"
done
