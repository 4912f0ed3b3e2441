#!/bin/sh
# Makes the environment in .venv from the locks; does nothing where it already stands.
#   sh bootstrap.sh        the whole environment
#   sh bootstrap.sh uv     only the pinned uv, in .uv
# PYTHON=/path/to/python3.12 names the interpreter instead of having one found.
set -eu
cd "$(dirname "$0")"

uv=.uv/bin/uv
stamp=.venv/.complete
IFS='
'
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}"
# The machine's own certificates, as pip takes them: a network may have one of its own.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"

say() { printf 'set-up: %s\n' "$1"; }

fail() { # what is wrong, how to mend it
    say "$1" >&2
    printf 'mend:   %s\n' "$2" >&2
    exit 3
}

# One interpreter a line, those the locked set has been run with longest first.
candidates() {
    for name in ${PYTHON:-} python3.13 python3.12 python3.14 python3 python; do
        command -v "$name" || :
    done
    for file in "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/*/bin/python; do
        if [ -x "$file" ]; then printf '%s\n' "$file"; fi
    done
}

# Really runs it: a pyenv shim can be on the PATH with nothing behind it.
version_holds() { # interpreter, condition on the version v
    "$1" -c "import sys; v = sys.version_info[:2]
sys.exit(not (sys.implementation.name == 'cpython' and $2))" >/dev/null 2>&1
}

# From a lock and in a folder of its own, by any Python that has venv or pip: so that what makes
# the environment is pinned too, and an older Python is enough to fetch a newer one.
install_uv() {
    if cmp -s bootstrap.lock .uv/bootstrap.lock; then return; fi
    say "installing uv"
    for python in $(candidates); do
        version_holds "$python" 'v >= (3, 8)' || continue
        rm -rf .uv
        if "$python" -m venv .uv >/dev/null 2>&1; then
            set -- .uv/bin/python -m pip install
        elif "$python" -m pip --version >/dev/null 2>&1; then
            set -- "$python" -m pip install --target .uv
        else
            continue
        fi
        if "$@" --quiet --require-hashes -r bootstrap.lock; then
            cp bootstrap.lock .uv/bootstrap.lock
            return
        fi
    done
    rm -rf .uv
    fail "uv could not be installed: that takes a Python >= 3.8 with venv or pip, and a package index" \
        "apt-get install python3-venv (Debian, Ubuntu), or name a Python: make setup PYTHON=/path/to/it"
}

make_venv() {
    for python in ${PYTHON:-$(candidates)}; do
        if version_holds "$python" '(3, 12) <= v <= (3, 14)'; then
            say "$("$python" -V), $python"
            "$uv" venv --quiet --clear --python "$python" .venv
            return
        fi
    done
    if [ -n "${PYTHON:-}" ]; then
        fail "PYTHON=$PYTHON is not a CPython 3.12, 3.13 or 3.14 that runs" "name another, or none"
    fi
    say "no Python 3.12, 3.13 or 3.14 on the PATH or under ~/.pyenv; fetching 3.12"
    "$uv" venv --quiet --clear --python 3.12 .venv || fail "Python 3.12 could not be fetched either" \
"any one of
          apt-get install python3 python3-venv      Debian 13, Ubuntu 24.04 and later
          brew install python@3.13                  macOS
          pyenv install 3.12                        any
          make setup PYTHON=/path/to/python3.12     where one lies elsewhere"
}

# All that the environment hangs on. The folder too: scripts in .venv carry its path.
fingerprint() {
    pwd
    cksum pyproject.toml requirements.lock bootstrap.lock bootstrap.sh
    "${PYTHON:-.venv/bin/python}" -VV
}

if [ "${1:-}" = uv ]; then
    install_uv
    exit
fi
if [ -f "$stamp" ] && [ "$(fingerprint 2>&1)" = "$(cat "$stamp")" ]; then exit; fi

# From an empty folder, and the stamp last: a set-up that was cut short is begun again.
rm -f "$stamp"
install_uv
make_venv
set -- "$uv" pip install --quiet --python .venv/bin/python
say "installing the locked packages (the first time this takes minutes)"
# With bytecode: where Python may write none (PYTHONDONTWRITEBYTECODE, as in many containers, or a
# read-only folder), every process would compile five thousand modules before its first word.
"$@" --require-hashes --compile-bytecode -r requirements.lock
say "installing screenbayes"
"$@" --no-deps --no-build-isolation --editable .
"$uv" pip check --quiet --python .venv/bin/python ||
    fail "requirements.lock no longer satisfies pyproject.toml" "make lock"
fingerprint >"$stamp"
say "ready"
