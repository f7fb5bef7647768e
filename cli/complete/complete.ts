import type { Command, Option } from "commander";
import { print, withSession, type CommonOptions } from "../context.ts";
import { forBash, splitLine, type TypedLine } from "./line.ts";
import { completeRemote } from "./candidates.ts";
import { archiveFormats } from "../commands/get-archive.ts";
import { shells } from "./scripts.ts";

/** A person waits: no answer is better than a late one. Slow networks may want to wait longer. */
const withinMs = Number(process.env["PLUCK_COMPLETE_MS"] ?? 2000);

/** Commands whose arguments are remote names; the others take none that could be completed. */
const remoteCommands: ReadonlySet<string> = new Set(["ls", "tree", "stat", "cat", "get", "mount", "umount", "unlock", "link"]);
const vmCommands: ReadonlySet<string> = new Set(["backups"]);

/**
 * `pluck __complete bash LINE` or `pluck __complete zsh|fish WORD…` (the last word is the one at the
 * cursor): candidates for the last word, a line each. Silent whatever goes wrong.
 */
export async function complete(program: Command, [shell = "", ...rest]: readonly string[], signal: AbortSignal): Promise<void> {
  const line = shell === "bash" ? splitLine(rest[0] ?? "") : { words: ["pluck", ...rest.slice(0, -1)], current: rest.at(-1) ?? "", quote: "" as const };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(withinMs)]);
  try {
    const found = await candidates(program, line, limit);
    const matching = found.filter((candidate) => candidate.startsWith(line.current) && !/[\p{Cc}\n]/u.test(candidate));
    const shown = shell === "bash" ? matching.map((candidate) => forBash(candidate, line)) : matching;
    await print(shown.map((candidate) => `${candidate}\n`).join(""));
  } catch {
    // Nobody is told: the cursor stands in the middle of a line.
  }
}

async function candidates(program: Command, { words, current }: TypedLine, signal: AbortSignal): Promise<string[]> {
  const given = words.slice(1);
  const command = program.commands.find((one) => one.name() === given[0]);
  if (given.length === 0) return visibleCommands(program);
  if (given[0] === "help") return given.length === 1 ? visibleCommands(program) : [];
  if (command === undefined) return [];
  const awaiting = awaitingValue(command, given.slice(1));
  if (awaiting !== undefined) return valuesOf(awaiting);
  if (current.startsWith("-") && !given.includes("--")) return command.options.filter(({ hidden }) => !hidden).map((option) => option.long ?? option.short ?? "");
  if (command.name() === "completion") return [...shells];
  const options = optionsOf(given);
  if (remoteCommands.has(command.name())) return await withSession(options, signal, async (session) => await completeRemote(session, current, options));
  if (vmCommands.has(command.name())) {
    return await withSession(options, signal, async (session) => (await completeRemote(session, current, {})).map((name) => name.replace(/:$/, "")));
  }
  return [];
}

function visibleCommands(program: Command): string[] {
  return [...program.createHelp().visibleCommands(program).map((one) => one.name())];
}

/** The option whose value the word at the cursor is. */
function awaitingValue(command: Command, words: readonly string[]): Option | undefined {
  const last = words.at(-1) ?? "";
  const option = command.options.find(({ long, short }) => last === long || last === short);
  return option !== undefined && (option.required || option.optional) ? option : undefined;
}

function valuesOf(option: Option): string[] {
  if (option.long === "--archive") return [...archiveFormats];
  return [...(option.argChoices ?? [])];
}

/** Options that change what names mean or where to ask. */
function optionsOf(words: readonly string[]): CommonOptions {
  const value = (name: string): string | undefined => {
    const at = words.indexOf(`--${name}`);
    return at >= 0 ? words[at + 1] : words.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3);
  };
  const [url, vm, backup] = [value("url"), value("vm"), value("backup")];
  return { ...(url === undefined ? {} : { url }), ...(vm === undefined ? {} : { vm }), ...(backup === undefined ? {} : { backup }) };
}
