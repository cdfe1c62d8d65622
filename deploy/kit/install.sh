#!/bin/sh
# Installs thim from this folder, without a network.
#
#   ./install.sh [FOLDER]      default: /opt/thim-VERSION
#
# Needs the Python that is named in the file python-version, with pip 22.3 or
# newer (Debian: python3-pip).  PYTHON=/path/to/python3 takes another one.
set -eu
umask 022

cd "$(dirname "$0")"
python=${PYTHON:-python3}
needed=$(cat python-version)
folder=${1:-/opt/thim-$(cat version)}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
    fail "$python: cannot be run"
[ "$found" = "$needed" ] ||
    fail "$python is Python $found, expected $needed, for which this kit was made (PYTHON=/path/to/python$needed takes another)"
"$python" -m pip --version >/dev/null 2>&1 ||
    fail "$python has no pip (Debian: python3-pip)"
[ ! -e "$folder" ] ||
    fail "$folder is there already: name another folder, or remove it"
sha256sum --check --quiet SHA256SUMS >&2 ||
    fail "a file is missing or damaged: copy the kit again"

# Nothing of this machine's settings for pip counts: they name what to fetch.
export PIP_CONFIG_FILE=/dev/null
# pip reaches into the environment from outside: none is left in it.
trap 'rm -rf "$folder"' EXIT
"$python" -m venv --without-pip "$folder"
"$python" -m pip --isolated --disable-pip-version-check --no-cache-dir \
    --python "$folder/bin/python" install --quiet --root-user-action ignore \
    --no-index --find-links wheels --no-deps --only-binary :all: \
    --require-hashes --requirement requirements.txt
"$folder/bin/thim" --version
trap - EXIT
echo "It is in $folder. To have it found: ln -sfn $folder/bin/thim /usr/local/bin/thim"
