import { enableCompileCache } from "node:module";
import { constants } from "node:os";
import { escapeSentence } from "./names/escape.ts";
import { exitCodes, Failure, toFailure } from "./output/failure.ts";

// The second start need not compile again.
enableCompileCache();
const { runCommand } = await import("./program.ts");

const stop = new AbortController();
let exitCode: number = exitCodes.ok;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    const code = 128 + constants.signals[signal];
    // The second time nothing is put in order any more.
    if (stop.signal.aborted) process.exit(code);
    exitCode = code;
    stop.abort(new Failure("interrupted", `Ended by ${signal}.`, ""));
  });
}

/** Whoever read our output is gone: nobody is left to tell. */
const brokenPipeCode = 128 + constants.signals.SIGPIPE;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  exitCode = brokenPipeCode;
  stop.abort(new Failure("interrupted", "Nobody reads the output any more.", ""));
});
process.stderr.on("error", () => undefined);

try {
  const code = await runCommand(process.argv.slice(2), stop.signal);
  if (exitCode === exitCodes.ok) exitCode = code;
} catch (error) {
  const failure = toFailure(stop.signal.aborted ? stop.signal.reason : error);
  if (exitCode === exitCodes.ok) exitCode = failure.exitCode;
  if (exitCode !== brokenPipeCode) report(failure);
}
process.exit(exitCode);

/** One line on stderr; with --json a JSON document of one line. */
function report(failure: Failure): void {
  const { code, message, advice } = failure;
  if (process.argv.includes("--json")) {
    process.stderr.write(`${JSON.stringify({ error: { code, detail: message, do: advice } })}\n`);
    return;
  }
  process.stderr.write(`pluck: ${code}: ${escapeSentence(message)}${advice === "" ? "" : ` ${escapeSentence(advice)}`}\n`);
  if (process.env["PLUCK_DEBUG"] !== undefined && failure.cause !== undefined) process.stderr.write(`${String((failure.cause as Error).stack ?? failure.cause)}\n`);
}
