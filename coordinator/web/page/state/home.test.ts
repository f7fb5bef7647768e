import { describe, expect, it } from "vitest";
import { judgeOrigin } from "./home.ts";

describe("an address of the page", () => {
  it.each([
    ["http://127.0.0.1:8082", "http://127.0.0.1:8082", "right"],
    ["http://localhost:8082", "http://127.0.0.1:8082", "alias"],
    ["http://[::1]:8082", "http://localhost:8082", "alias"],
    ["http://localhost:9000", "http://127.0.0.1:8082", "wrong"],
    ["https://localhost:8082", "http://127.0.0.1:8082", "wrong"],
    ["http://10.0.0.5:8082", "http://127.0.0.1:8082", "wrong"],
    ["http://127.0.0.1.example.net:8082", "http://127.0.0.1:8082", "wrong"],
    ["http://pluck:8082", "https://pluck.example.net", "wrong"],
    ["http://pluck:8082", null, "right"],
    ["http://pluck:8082", "nonsense", "right"],
  ] as const)("%s, at home at %s, is %s", (here, home, worth) => {
    expect(judgeOrigin(here, home)).toBe(worth);
  });
});
