import { expect, it } from "vitest";
import type { OpenMount, OpenMounts } from "../mounts/open-mount.ts";
import { endForgottenMounts } from "./idle-safety.ts";

const now = new Date("2026-11-23T12:00:00Z");
const ago = (seconds: number): Date => new Date(now.getTime() - seconds * 1000);

function mounts(...open: { id: string; accessed: Date; transfers: number }[]): OpenMounts {
  return {
    lastWebOrigin: null, slots: 4, open: () => Promise.reject(new Error("not here")), end: () => Promise.resolve(true), get: () => undefined,
    list: () => open.map(({ id, accessed, transfers }) => ({ mountId: id, lastAccessedAt: accessed, transfers }) as OpenMount),
    opening: () => [], onLost: () => undefined, close: () => Promise.resolve(),
  };
}

const open = mounts(
  { id: "forgotten", accessed: ago(200), transfers: 0 },
  { id: "sending", accessed: ago(5000), transfers: 1 },
  { id: "used", accessed: ago(199), transfers: 0 },
);

it("ends what nobody used for two idle timeouts, when no coordinator was there for as long", async () => {
  expect(await endForgottenMounts(open, 100, ago(200), now)).toEqual(["forgotten"]);
});

it("leaves everything to the coordinator while one is there, or was a moment ago", async () => {
  expect(await endForgottenMounts(open, 100, undefined, now)).toEqual([]);
  expect(await endForgottenMounts(open, 100, ago(199), now)).toEqual([]);
});
