#!/bin/sh
# Makes a virtual environment from a hashed lock and installs the checkout into it, editable.
# Usage: make_venv.sh VENV LOCK. Prints what it does; leaves VENV/ready as the last thing, so that a run
# that was cut short starts over.
set -eu
venv=$1
lock=$2
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "tollway needs Python 3.11 or newer; '$python' is $("$python" -V 2>&1). Name another: make PYTHON=python3.12" >&2
    exit 1
}
# Debian keeps ensurepip, without which no virtual environment can be made, in a package of its own.
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "==> python3-venv is missing: installing it with apt-get"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv ca-certificates
    else
        echo "'$python' cannot make a virtual environment. Install Debian's package: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi

if [ ! -x "$venv/bin/python" ]; then
    echo "==> making $venv"
    "$python" -m venv "$venv"
fi
echo "==> installing $(grep -c '==' "$lock") locked packages into $venv (about a minute the first time)"
# --no-deps: the lock is complete, so pip need not resolve it again.
# pip says a line for everything it need not do; those are left out, its status is kept.
{
    status=0
    "$venv/bin/python" -m pip install --no-deps --require-hashes --requirement "$lock" --progress-bar off || status=$?
    echo "$status" >"$venv/status"
} | grep -v -E '^(Requirement already satisfied:|Ignoring )' || true
[ "$(cat "$venv/status")" = 0 ] || exit 1
echo "==> installing tollway itself, editable"
"$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
touch "$venv/ready"
