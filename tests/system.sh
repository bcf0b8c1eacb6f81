#!/bin/sh
# What the tests need of the operating system, beside Python; `make system` calls this.
# As root where there is apt it installs what is missing; elsewhere it prints the line that does. Tests whose tool is missing are
# skipped and say so, so this always ends well.
set -u

packages=""
need() { packages="$packages $1"; }

# Debian's Chromium: the browser the review page is tested in.
command -v chromium >/dev/null 2>&1 || need chromium
# A font, or the browser draws boxes in place of letters.
ls /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf >/dev/null 2>&1 || need fonts-dejavu-core
# The review store is tested on PostgreSQL too: on a server that runs, or on one that the tests start themselves.
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ||
    PGCONNECT_TIMEOUT=2 psql -h 127.0.0.1 -p 5432 -U postgres -c 'select 1' >/dev/null 2>&1 ||
    need postgresql

if [ -z "$packages" ]; then
    echo "system: everything the tests need is there"
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "system: installing$packages"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # one word for each package
    if apt-get -o Acquire::Retries=1 -o Acquire::http::Timeout=30 update -qq &&
        apt-get install -y -qq --no-install-recommends $packages; then
        exit 0
    fi
    echo "system: apt-get failed"
fi
echo "system: some tests will be skipped; where there is apt this installs what they need:"
echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$packages"
