#!/usr/bin/env bash
# Install the clients that the end-to-end tests put in front of the gateway. Knows nothing about the gateway.
#
#   tests/e2e/clients/install.sh      (Python's into .venv-clients beside the Makefile, JavaScript's into node/node_modules)
#
#   UV   uv to use (default: .venv/bin/uv)
#
# What they are, in other versions:
#   uv pip compile --universal --python-version 3.11 --no-annotate --no-header --no-emit-index-url \
#     requirements.in -o requirements.txt
#   npm install --prefix node --package-lock-only       (node/.npmrc leaves the addresses out of the lock)
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(cd "$HERE/../../.." && pwd)"
UV="${UV:-$ROOT/.venv/bin/uv}"
VENV="$ROOT/.venv-clients"

fail() {
    printf 'clients: %s\n' "$1" >&2
    exit 1
}

command -v node >/dev/null || fail "node is not here; the JavaScript clients need Node.js 20 or newer."
command -v npm >/dev/null || fail "npm is not here; it comes with Node.js."
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || fail "Node.js 20 or newer is needed; this is $(node -v)."
command -v "$UV" >/dev/null || fail "uv is not here; it comes with 'make setup'."

# uv does not read pip's settings; whoever has them means them.
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"
[ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"

echo "[clients 1/2] Python clients into .venv-clients (about 10 s; 330 MB)"
[ -x "$VENV/bin/python" ] || "$UV" venv -q --allow-existing --python "$ROOT/.venv/bin/python" "$VENV"
"$UV" pip sync -q --python "$VENV/bin/python" "$HERE/requirements.txt"
echo "[clients 2/2] JavaScript clients into tests/e2e/clients/node/node_modules (about 10 s; 75 MB)"
npm ci --prefix "$HERE/node" --ignore-scripts --loglevel=error >/dev/null
