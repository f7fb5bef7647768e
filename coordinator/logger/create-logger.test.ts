import { describe, expect, it } from "vitest";
import { createLogger } from "./create-logger.ts";

function logged(write: (logger: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = [];
  write(createLogger("trace", { write: (line: string) => lines.push(line) }));
  return lines.join("");
}

describe("the log", () => {
  it("shows an error with its causes, without parameters and further members", () => {
    const driver = Object.assign(new Error("Duplicate entry"), { code: "ER_DUP_ENTRY", sql: "INSERT secret" });
    const text = logged((logger) => logger.error({ err: new Error("Failed query: insert into t values (?)\nparams: secret,2", { cause: driver }) }, "failed"));
    expect(text).not.toContain("secret");
    expect(text).toContain("ER_DUP_ENTRY");
    expect(text).toContain("Failed query");
  });

  it("hides tokens wherever they are given by name", () => {
    expect(logged((logger) => logger.info({ token: "secret", request: { authorization: "Bearer secret" } }, "x"))).not.toContain("secret");
  });
});
