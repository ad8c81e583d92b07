#!/usr/bin/env bash
# Installs the Autobahn WebSocket test suite as DIR/wstest, and a Python with `websockets` as DIR/peers. The suite runs on Python 2.7
# only, which no current system has: it comes from the packages of Debian 11, unpacked into DIR. Nothing outside DIR changes.
#   install.sh DIR
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)

python3 -m venv "$dir/peers"
pip=("$dir/peers/bin/python" -m pip)
"${pip[@]}" install -q --disable-pip-version-check -r "$here/peers.txt"

# The mirror that this system installs from, if it is one of Debian's.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/\?$' || true)}
if [ -z "$mirror" ]; then
    echo "Python 2.7 comes from the packages of Debian 11, and this system has no mirror of Debian: set DEBIAN_MIRROR to the URL of one" >&2
    exit 1
fi
apt=$dir/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
# What is unpacked is checked against debian.sha256, so it does not matter whose keys this system knows.
echo "deb [arch=amd64 trusted=yes] $mirror bullseye main" > "$apt/sources.list"
options=(-q=2 -oDir::Etc::sourcelist="$apt/sources.list" -oDir::Etc::sourceparts=- -oDir::State::Lists="$apt/lists"
    -oDir::Cache="$apt/cache" -oAPT::Architecture=amd64 -oAPT::Sandbox::User= -oAcquire::Check-Valid-Until=false)
apt-get "${options[@]}" update
(cd "$apt" && apt-get "${options[@]}" download python2.7-minimal libpython2.7-minimal libpython2.7-stdlib libffi7 libssl1.1)
(cd "$apt" && sha256sum --quiet --check "$here/debian.sha256")
for package in "$apt"/*.deb; do dpkg-deb -x "$package" "$dir/python2.7"; done
cat > "$dir/python2" <<EOF
#!/bin/sh
export LD_LIBRARY_PATH="$dir/python2.7/usr/lib/x86_64-linux-gnu" PYTHONPATH="\${PYTHONPATH_2:-$dir/suite}" PYTHONDONTWRITEBYTECODE=1
exec "$dir/python2.7/usr/bin/python2.7" "\$@"
EOF
chmod +x "$dir/python2"

# The last pip for Python 2.7 installs the rest.
"${pip[@]}" download -q --disable-pip-version-check --no-deps --require-hashes --python-version 27 --only-binary=:all: \
    -d "$dir/pip" -r "$here/pip.txt"
for wheel in "$dir"/pip/*.whl; do python3 -m zipfile -e "$wheel" "$dir/pip/unpacked"; done
PYTHONPATH_2=$dir/pip/unpacked PYTHONWARNINGS=ignore "$dir/python2" -m pip install -q --no-python-version-warning --no-warn-script-location \
    --no-deps --no-build-isolation --require-hashes --target "$dir/suite" -r "$here/suite.txt"
touch "$dir/suite/zope/__init__.py"   # a namespace package, which needs a site directory to be found

cat > "$dir/wstest" <<EOF
#!/bin/sh
exec "$dir/python2" -c 'import sys; sys.argv[0] = "wstest"; from autobahntestsuite.wstest import run; run()' "\$@"
EOF
chmod +x "$dir/wstest"
"$dir/wstest" --autobahnversion
