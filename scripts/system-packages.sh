#!/bin/sh
# Installs the system packages that isolation and set-up need, where that may be done; else names them in one line.
# With the argument `tests`, also those that only tests need.
set -u
missing=""
wanted="bwrap:bubblewrap ip:iproute2 nft:nftables setpriv:util-linux git:git"
[ "${1:-}" = tests ] && wanted="$wanted chromium:chromium faketime:faketime dockerd:docker.io podman:podman catatonit:catatonit pasta:passt slirp4netns:slirp4netns"
for pair in $wanted; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
"${PYTHON:-python3}" -c "import ensurepip" >/dev/null 2>&1 || missing="$missing python3-venv"
# Images for tests are made of installed packages.
[ "${1:-}" = tests ] && ! dpkg -s python3-venv >/dev/null 2>&1 && missing="$missing python3-venv"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing system packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null 2>&1
    # shellcheck disable=SC2086 - a list of names
    if apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1; then
        exit 0
    fi
fi
echo "Not installed, so set-up may fail or Actors be isolated less than they could. Install as root: apt-get install$missing" >&2
