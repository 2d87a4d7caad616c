#!/usr/bin/env bash
# Install what tests/state runs against, PostgreSQL, Redis and libfaketime, from the system's package manager. Safe to
# repeat; fails where one cannot be had: a machine without them checks less than it says.
set -euo pipefail
SUDO=""
[ "$(id -u)" = 0 ] || SUDO=sudo

missing=()
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v faketime >/dev/null || missing+=(faketime)
[ "${#missing[@]}" -gt 0 ] || exit 0
command -v apt-get >/dev/null || { echo "install these first: ${missing[*]} (no apt-get here)" >&2; exit 1; }
echo "[state-test] installing ${missing[*]}"
# RUNLEVEL=1: the packages must not start their services.
$SUDO apt-get update -qq
$SUDO env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
