import { describe, expect, it } from "vitest";
import type { Failure } from "./output/failure.ts";
import { makeProgram, runCommand } from "./program.ts";

const signal = new AbortController().signal;

describe("the command line", () => {
  it.each([
    [["frobnicate"], /unknown command/],
    [["get"], /missing required argument/],
    [["get", "--jobs", "0", "vm:0/p1"], /from 1 to 64/],
    [["get", "--jobs", "four", "vm:0/p1"], /whole number/],
    [["get", "--verify", "md5", "vm:0/p1"], /sha256/],
    [["ls", "--frobnicate"], /unknown option/],
    [["ls", "one", "two"], /too many arguments/],
    [["register", "vm", "--disk", "x"], /--repository/],
    [["completion", "tcsh"], /no completion/],
    [["login", "not a url"], /no address/],
    [["link", "vm:0/p1", "--ttl", "soon"], /no time/],
    [["get", "--archive", "rar", "vm:0/p1", "-o", "x"], /no format/],
  ])("%j is a usage error", async (words, why) => {
    const failure = await runCommand(words, signal).then(() => undefined, (error: Failure) => error);
    expect(failure).toMatchObject({ code: "usage", exitCode: 2 });
    expect(failure?.message).toMatch(why);
  });

  it("has for every command a description, --json where it talks to a server, and no option twice", () => {
    const { program } = makeProgram(signal, () => undefined);
    for (const command of program.commands) {
      expect(command.description(), command.name()).not.toBe("");
      const options = command.options.map(({ long }) => long);
      expect(new Set(options).size, command.name()).toBe(options.length);
      if (!["completion", "login", "logout"].includes(command.name())) expect(options, command.name()).toEqual(expect.arrayContaining(["--json", "--url"]));
    }
  });
});
