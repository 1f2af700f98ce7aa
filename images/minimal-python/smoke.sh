set -eu
[ "$(id -un)" = sandbox ] && [ "$(id -u)" = 1000 ] && [ "$HOME" = /home/sandbox ] && [ "$PWD" = /home/sandbox ]
cd "$(mktemp -d)"

cat >sum.py <<'PY'
import csv, json, sqlite3, ssl, sys
rows = list(csv.DictReader(["n,m", "1,2", "3,4"]))
print(json.dumps(sum(int(r["m"]) for r in rows)))
PY
[ "$(python3 sum.py)" = 6 ] && [ "$(python sum.py)" = 6 ]
python3 -m venv --without-pip v && v/bin/python -c 'import sys; assert sys.prefix != sys.base_prefix'

# pip installs for the user, without a flag and in spite of PEP 668.
pip --version >/dev/null
mkdir pkg && cat >pkg/setup.py <<'PY'
from setuptools import setup
setup(name="smoke-pkg", version="1.0", py_modules=["smokepkg"], entry_points={"console_scripts": ["smokepkg = smokepkg:main"]})
PY
echo 'def main(): print("installed")' >pkg/smokepkg.py
pip install --quiet --user --no-index --no-build-isolation ./pkg
[ "$(smokepkg)" = installed ]
pip uninstall --quiet --yes smoke-pkg
echo ok minimal-python
