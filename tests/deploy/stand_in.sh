#!/usr/bin/env bash
# Root file systems that stand in for the official Python images, which cannot be pulled everywhere: Debian with its own
# Python of the same version. They prove the Dockerfile's logic, not the official base.
#   tests/deploy/stand_in.sh DIRECTORY      leaves slim.tar and full.tar there
set -euo pipefail
mkdir -p "$1"
make() { # NAME PACKAGES
    [ -s "$1" ] && return
    # usr-is-merged: what usrmerge would bring, without its 50 MB of perl.
    mmdebstrap --quiet --variant=minbase --include="usr-is-merged,$2" \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python"' \
        --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python3"' \
        --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*' \
        bookworm "$1.part.tar" >&2
    mv "$1.part.tar" "$1"
}
make "$1/slim.tar" python3
make "$1/full.tar" python3,python3-pip,python3-venv,python3-dev,gcc,libc6-dev
