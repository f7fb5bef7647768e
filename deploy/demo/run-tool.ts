import { delimiter } from "node:path";
import { execa } from "execa";

/** Runs a program of the system, also one from sbin, which an ordinary user's PATH leaves out; throws with what it said. */
export async function runTool(
  program: string,
  parameters: readonly string[],
  options: { readonly environment?: Record<string, string>; readonly input?: string; readonly folder?: string; readonly signal?: AbortSignal } = {},
): Promise<{ stdout: string; stderr: string }> {
  const result = await execa(program, parameters, {
    env: {
      ...options.environment,
      PATH: [process.env["PATH"] ?? "", "/usr/sbin", "/sbin"].join(delimiter),
      LC_ALL: "C.UTF-8",
      // mtools: no questions about geometry.
      MTOOLS_SKIP_CHECK: "1",
    },
    reject: false,
    ...(options.input === undefined ? { stdin: "ignore" as const } : { input: options.input }),
    ...(options.folder === undefined ? {} : { cwd: options.folder }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  });
  if (result.failed) throw new Error(`${program} ${parameters.join(" ")}: ${result.stderr?.trim() || result.shortMessage}`);
  return { stdout: result.stdout, stderr: result.stderr };
}
