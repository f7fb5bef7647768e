import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { curlForFile, curlForSelection, curlForStream, shellQuote } from "./curl.ts";

const words = ["plain", "with space", "quote'and\"double", "$(reboot)", "`reboot`", "back\\slash", "new\nline", "a;b|c&d>e", "-rf", "", "ünïcödé-🎉", "!history", "*", "~", "#x", "'"];

/** What a shell makes of a line: its words, with curl as a function that prints them. */
function run(line: string): string[] {
  const printed = execFileSync("sh", ["-c", `curl() { for word in "$@"; do printf '%s\\0' "$word"; done; }; ${line}`], { encoding: "utf8" });
  return printed.split("\0").slice(0, -1);
}

describe("a line for the shell", () => {
  it("hands every word on as it is", () => {
    expect(run(`curl ${words.map(shellQuote).join(" ")}`)).toEqual(words);
  });

  it("resumes a file under a harmless name", () => {
    expect(run(curlForFile("http://h:1/v1/d?path=%2Fa&token=x.y", "it's\n$(x)"))).toEqual(["-fL", "-C", "-", "-o", "it's_$(x)", "http://h:1/v1/d?path=%2Fa&token=x.y"]);
    expect(run(curlForFile("http://h/", "-rf"))[4]).toBe("./-rf");
  });

  it("does not ask for the rest of what is made as it is sent", () => {
    expect(run(curlForStream("http://h/", "etc.zip"))).toEqual(["-fL", "-o", "etc.zip", "http://h/"]);
  });

  it("posts a selection", () => {
    const selection = JSON.stringify([["m1", "/p1/it's $(x)\u202e"]]);
    expect(run(curlForSelection("http://h/?token=x", selection, "a.zip"))).toEqual(["-f", "-o", "a.zip", "--data-urlencode", `selection=${selection}`, "http://h/?token=x"]);
  });

  it("sends a selection too long for an argument through a pipe, byte for byte", () => {
    const selection = "it's ".repeat(50_000);
    const line = curlForSelection("http://h/", selection, "a.zip");
    const [options, piped] = execFileSync("sh", { input: `curl() { printf '%s ' "$@"; printf '\\0'; cat; }; ${line}`, encoding: "utf8", maxBuffer: 2 ** 22 }).split("\0");
    expect(options).toBe("-f -o a.zip --data-urlencode selection@- http://h/ ");
    expect(piped).toBe(selection);
  });
});
