set -eu
[ "$(id -un)" = sandbox ] && [ "$(id -u)" = 1000 ] && [ "$HOME" = /home/sandbox ] && [ "$PWD" = /home/sandbox ]
cd "$(mktemp -d)"

cat >sum.mjs <<'JS'
import { readFileSync, writeFileSync } from "node:fs";
writeFileSync("n.json", JSON.stringify([1, 2, 3]));
console.log(JSON.parse(readFileSync("n.json")).reduce((a, b) => a + b));
JS
[ "$(node sum.mjs)" = 6 ]

# npm installs a package, with a command, for the user.
npm --version >/dev/null
mkdir pkg
echo '{"name":"smoke-pkg","version":"1.0.0","bin":{"smokepkg":"cli.js"}}' >pkg/package.json
printf '#!/usr/bin/env node\nconsole.log("installed")\n' >pkg/cli.js
chmod +x pkg/cli.js
npm pack --silent ./pkg >/dev/null
npm install --silent --offline --no-audit --no-fund --global ./smoke-pkg-1.0.0.tgz >/dev/null
[ "$(smokepkg)" = installed ]
npm uninstall --silent --global smoke-pkg >/dev/null
echo ok minimal-node
