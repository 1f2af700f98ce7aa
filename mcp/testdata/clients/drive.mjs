// Drives a pocketdock MCP server with the TypeScript SDK's client, as a program
// of somebody else's would, and checks what comes back. The client validates
// structured content against the tools' own schemas.
//
//   node drive.mjs http://ADDRESS/mcp       (token in MCP_TOKEN)
//   node drive.mjs COMMAND [ARG...]
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [target, ...args] = process.argv.slice(2);

function transport() {
  if (!target.startsWith("http://")) {
    return new StdioClientTransport({ command: target, args, env: process.env });
  }
  const headers = process.env.MCP_TOKEN ? { Authorization: `Bearer ${process.env.MCP_TOKEN}` } : {};
  return new StreamableHTTPClientTransport(new URL(target), { requestInit: { headers } });
}

async function connect() {
  const client = new Client({ name: "drive", version: "1.0.0" });
  const t = transport();
  await client.connect(t);
  return { client, t };
}

const { client, t } = await connect();
const text = (res) => res.content.filter((c) => c.type === "text").map((c) => c.text).join("");
const call = (name, a = {}, options) => client.callTool({ name, arguments: a }, undefined, options);

const { tools } = await client.listTools();
assert(tools.length >= 15, `${tools.length} tools`);
assert.equal(client.getServerVersion().name, "pocketdock");

let res = await call("run_command", { command: "echo hello; echo oops >&2" });
assert.equal(res.isError ?? false, false);
assert.equal(res.structuredContent.stdout, "hello\n");
assert.equal(res.structuredContent.exit_code, 0);
assert.match(text(res), /Exit code 0[^]*hello[^]*oops/);
const box = res.structuredContent.sandbox_id;

res = await call("run_code", { language: "sh", code: "exit 3" });
assert.equal(res.isError, true);
assert.equal(res.structuredContent.exit_code, 3);

// What makes no sense is a result that a model can read, too.
res = await call("run_code", { language: "cobol", code: "x" });
assert.equal(res.isError, true);
res = await call("file_read", { path: "/no/such" });
assert.equal(res.isError, true);
await assert.rejects(() => call("no_such_tool"));

await call("file_write", { path: "/tmp/a.txt", content: "one\ntwo\n" });
res = await call("file_edit", { path: "/tmp/a.txt", old_text: "two", new_text: "2" });
assert.equal(res.structuredContent.line, 2);
res = await call("file_search", { query: "2", path: "/tmp" });
assert.deepEqual(res.structuredContent.matches, [{ path: "a.txt", line: 2, text: "2" }]);
const file = await client.readResource({ uri: `sandbox://${box}/files/tmp/a.txt` });
assert.equal(file.contents[0].text, "one\n2\n");
assert.equal((await client.listResourceTemplates()).resourceTemplates.length, 2);

const svg = '<svg xmlns="http://www.w3.org/2000/svg"/>';
res = await call("run_command", { command: `echo '${svg}' >/tmp/i.svg`, images: ["/tmp/i.svg"] });
const image = res.content.find((c) => c.type === "image");
assert.equal(image.mimeType, "image/svg+xml");
assert.equal(Buffer.from(image.data, "base64").toString(), svg + "\n");

// A command that takes longer than this client's patience: the server answers
// before, and tells of it meanwhile.
const patience = Number(process.env.PATIENCE_MS ?? 40000);
const work = Number(process.env.WORK_SECONDS ?? 10);
let told = 0;
res = await call(
  "run_command",
  { command: `i=0; while [ $i -lt ${work} ]; do sleep 1; i=$((i+1)); echo $i; done`, timeout_seconds: work + 600 },
  { timeout: patience, maxTotalTimeout: patience, onprogress: () => told++ },
);
assert.equal(res.structuredContent.running, true, text(res));
if (process.env.EXPECT_PROGRESS) assert(told > 0, "no progress was told");
let { process_id, stdout, stdout_bytes } = res.structuredContent;
for (let reads = 0; ; reads++) {
  res = await call("process_read", { process_id, stdout_offset: stdout_bytes, wait_seconds: 3600, until_exit: true }, { timeout: patience });
  stdout += res.structuredContent.stdout;
  stdout_bytes = res.structuredContent.stdout_offset;
  if (!res.structuredContent.running) break;
}
assert.equal(res.structuredContent.exit_code, 0);
assert.equal(stdout, Array.from({ length: work }, (_, i) => `${i + 1}\n`).join(""));

// Cancelling a request kills its command.
const abort = new AbortController();
const cancelled = call("run_command", { command: "touch /tmp/begun; sleep 299" }, { signal: abort.signal });
for (;;) {
  res = await call("file_list", { path: "/tmp", glob: "begun" });
  if (res.structuredContent.entries.length > 0) break;
}
abort.abort();
await assert.rejects(cancelled);
for (let n = 0; ; n++) {
  res = await call("run_command", { command: "cat /proc/[0-9]*/cmdline | tr '\\0' ' '" });
  if (!res.structuredContent.stdout.includes("sleep 299")) break;
  assert(n < 200, "the cancelled command still runs");
}

// Another client, of another session, does not see this one's sandbox.
const other = await connect();
res = await other.client.callTool({ name: "sandbox_info", arguments: { sandbox_id: box } });
assert.equal(res.isError, true);
if (other.t.terminateSession) await other.t.terminateSession();
await other.client.close();

res = await call("sandbox_stop");
assert.equal(res.structuredContent.sandbox_id, box);
if (t.terminateSession) await t.terminateSession();
await client.close();
console.log("ok");
