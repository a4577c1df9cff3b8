#!/bin/sh
# Installs a PostgreSQL server where there is none; nothing is started, since the tests start one of their own.
set -eu
for bin in /usr/lib/postgresql/*/bin/initdb $(command -v initdb || true); do
    [ -x "$bin" ] && exit 0
done
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "no PostgreSQL server is installed: install one (package postgresql), or run this as root on Debian" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql
