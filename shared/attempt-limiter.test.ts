import { describe, expect, it } from "vitest";
import { AttemptLimiter } from "./attempt-limiter.ts";

describe("AttemptLimiter", () => {
  const make = () => {
    let nowMs = 1_000_000;
    const limiter = new AttemptLimiter({ now: () => nowMs });
    const blockedS = (subject = "a") => {
      try {
        limiter.begin(subject).withdraw();
        return 0;
      } catch (error) {
        expect(error).toMatchObject({ code: "too_many_attempts" });
        return (error as { retryAfterS: number }).retryAfterS;
      }
    };
    return { limiter, blockedS, pass: (seconds: number) => (nowMs += seconds * 1000) };
  };

  it("lets five wrong ones pass, then doubles the wait up to an hour", () => {
    const { limiter, blockedS, pass } = make();
    for (let attempt = 0; attempt < 5; attempt += 1) {
      expect(blockedS()).toBe(0);
      limiter.begin("a");
    }
    const waits: number[] = [];
    for (let attempt = 0; attempt < 12; attempt += 1) {
      waits.push(blockedS());
      pass(waits.at(-1)!);
      limiter.begin("a");
    }
    expect(waits).toEqual([10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]);
    expect(blockedS("another")).toBe(0);
  });

  it("counts attempts from their beginning, so that many at once are no way round", () => {
    const { limiter } = make();
    for (let attempt = 0; attempt < 5; attempt += 1) limiter.begin("a");
    expect(() => limiter.begin("a")).toThrow(expect.objectContaining({ code: "too_many_attempts" }));
  });

  it("forgets everything at the right key, and one attempt that was none", () => {
    const { limiter, blockedS } = make();
    for (let attempt = 0; attempt < 4; attempt += 1) limiter.begin("a");
    limiter.begin("a").withdraw();
    expect(blockedS()).toBe(0);
    limiter.begin("a").succeeded();
    for (let attempt = 0; attempt < 4; attempt += 1) limiter.begin("a");
    expect(blockedS()).toBe(0);
  });
});
