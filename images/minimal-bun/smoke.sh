set -eu
[ "$(id -un)" = sandbox ] && [ "$(id -u)" = 1000 ] && [ "$HOME" = /home/sandbox ] && [ "$PWD" = /home/sandbox ]
cd "$(mktemp -d)"

cat >sum.ts <<'TS'
interface Row { n: number }
const rows: Row[] = [{ n: 1 }, { n: 2 }, { n: 3 }];
await Bun.write("out.txt", String(rows.reduce((a: number, r: Row) => a + r.n, 0)));
console.log(await Bun.file("out.txt").text());
TS
[ "$(bun run sum.ts)" = 6 ]
cat >sum.test.ts <<'TS'
import { expect, test } from "bun:test";
test("adds", () => expect(1 + 2).toBe(3));
TS
bun test 2>&1 | grep -q '1 pass'
bun build --target=bun sum.ts --outfile built.js >/dev/null && [ "$(bun built.js)" = 6 ]
bunx --version >/dev/null

# bun installs a package, with a command, for the user.
mkdir pkg
printf '{"name":"smoke-pkg","version":"1.0.0","bin":{"smokepkg":"cli.js"}}' >pkg/package.json
printf '#!/usr/bin/env bun\nconsole.log("installed")\n' >pkg/cli.js
chmod +x pkg/cli.js
bun add --global --silent "$PWD/pkg" >/dev/null
[ "$(smokepkg)" = installed ]
bun remove --global --silent smoke-pkg >/dev/null
echo ok minimal-bun
