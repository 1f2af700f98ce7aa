set -eu
[ "$(id -un)" = sandbox ] && [ "$(id -u)" = 1000 ] && [ "$HOME" = /home/sandbox ] && [ "$PWD" = /home/sandbox ]
cd "$(mktemp -d)"

printf 'name,n\na,1\nb,2\nb,3\n' >t.csv
cat >t.py <<'PY'
import httpx, numpy, pandas, requests, yaml
from bs4 import BeautifulSoup
from lxml import etree
from PIL import Image

t = pandas.read_csv("t.csv")
assert t.groupby("name").n.sum().to_dict() == {"a": 1, "b": 5}
assert int(numpy.linalg.det(numpy.eye(3))) == 1
assert BeautifulSoup("<p>x</p>", "lxml").p.text == "x"
assert etree.fromstring("<a><b/></a>").find("b") is not None
assert yaml.safe_load("a: [1, 2]") == {"a": [1, 2]}
Image.new("RGB", (4, 4), "red").save("t.png")
assert Image.open("t.png").getpixel((1, 1)) == (255, 0, 0)
assert requests.Request("GET", "http://x/").prepare().url == "http://x/"
assert httpx.URL("http://x/a").path == "/a"
PY
python3 t.py
[ "$(echo '{"a":7}' | jq .a)" = 7 ]
curl --silent "file://$PWD/t.csv" | grep -q '^a,1'
pip --version >/dev/null
echo ok agent
