// Descriptor 0 is the script, 3 the standard input, 4 takes how commands ended.
const fs = require("fs"), net = require("net"), repl = require("repl"), util = require("util"), vm = require("vm");
const { PassThrough } = require("stream");
const control = new net.Socket({ fd: 0, readable: true, writable: false });
const input = fs.createReadStream("", { fd: 3, autoClose: false });
Object.defineProperty(process, "stdin", { get: () => input, configurable: true });
// Node's own prompt evaluates: it knows await outside of functions.
const loop = repl.start({ prompt: "", input: new PassThrough(), output: new PassThrough(), terminal: false, useGlobal: true });
let fail = null; // ends the command that is under way
const other = (err) => (fail ? fail(err) : console.error(err));
// What a command throws goes to the prompt's domain, as what a timer throws later.
loop._domain.removeAllListeners("error");
loop._domain.on("error", other);
process.on("uncaughtException", other);
const interrupted = Object.assign(new Error("interrupted"), { code: "ERR_SCRIPT_EXECUTION_INTERRUPTED" });
process.on("SIGINT", () => fail && fail(interrupted));
function evaluate(source) {
  return new Promise((resolve) => {
    const end = (err, value) => {
      if (fail !== end) return; // it was interrupted
      fail = null;
      if (err instanceof repl.Recoverable) err = err.err;
      if (err) console.error(err.code === interrupted.code ? "interrupted" : err);
      else if (value !== undefined) console.log(util.inspect(value));
      resolve(err ? (err.code === interrupted.code ? 130 : 1) : 0);
    };
    fail = end;
    const start = () => loop.eval(source + "\n", loop.context, "session", end);
    try {
      // Only what vm runs can be interrupted while it computes.
      globalThis[Symbol.for("pocketdock")] = start;
      vm.runInThisContext('globalThis[Symbol.for("pocketdock")]()', { breakOnSigint: true });
    } catch (err) {
      end(err);
    }
  });
}
let pending = "";
let turn = Promise.resolve();
const say = (token, code) => fs.writeSync(4, `${token} ${code}`);
function tell(what) {
  const all = Buffer.from(what === "dir" ? process.cwd() : Object.entries(process.env).map(([k, v]) => `${k}=${v}\0`).join(""));
  for (let i = 0; i < all.length; i += 4096) fs.writeSync(4, all.subarray(i, i + 4096));
}
control.setEncoding("utf8");
control.on("data", (text) => {
  const lines = (pending + text).split("\n");
  pending = lines.pop();
  for (const line of lines) {
    const { token, source, ask } = JSON.parse(line);
    turn = turn.then(async () => (ask ? tell(ask) : say(token, source === undefined ? 0 : await evaluate(source))));
  }
});
control.on("end", () => process.exit(0));
