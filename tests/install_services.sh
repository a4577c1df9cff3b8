#!/bin/sh
# Installs the servers that tests start for themselves, where they are missing; nothing is started here.
set -eu
cd "$(dirname "$0")/.."

has_postgres() {
    for program in /usr/lib/postgresql/*/bin/initdb $(command -v initdb || true); do
        [ -x "$program" ] && return 0
    done
    return 1
}

if ! has_postgres; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "no PostgreSQL server is installed: install one (package postgresql), or run this as root on Debian" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends postgresql
fi

# The emulator of Azure's stores is a package of npm; where that cannot be had, its tests are skipped.
if [ ! -x .services/node_modules/.bin/azurite-blob ]; then
    npm install --silent --no-audit --no-fund --prefix .services azurite@3.35.0 ||
        echo "npm cannot install azurite, so the tests of Azure will be skipped" >&2
fi
