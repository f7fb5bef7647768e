import { describe, expect, it } from "vitest";
import { type MountStatus, mountStatuses } from "../../../shared/api.ts";
import { type AgentView, decideRepair, type MountEvent, nextStatus, type RowView, transitions } from "./state.ts";

const now = new Date("2026-01-01T12:00:00Z");
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000);
const open: AgentView = { is: "open", nbdDevice: "nbd0" };
const opening: AgentView = { is: "opening" };
const absent: AgentView = { is: "absent" };

function row(status: MountStatus, more: Partial<RowView> = {}): RowView {
  return { status, nbdDevice: status === "mounted" ? "nbd0" : null, stateChangedAt: ago(60), commandDeadline: null, ...more };
}

describe("the life of a mount", () => {
  it("has a way from every status to its end", () => {
    for (const status of mountStatuses) {
      const reached = new Set<string>([status]);
      for (let grown = true; grown; ) {
        const before = reached.size;
        for (const from of mountStatuses) if (reached.has(from)) for (const to of Object.values(transitions[from])) reached.add(to);
        grown = reached.size > before;
      }
      expect(reached, status).toContain("gone");
    }
  });

  it("allows what the picture shows, and nothing else", () => {
    const events: MountEvent[] = ["opened", "refused", "withdrawn", "end", "claimed", "released", "abandoned", "lost", "ended", "replaced"];
    const allowed = mountStatuses.flatMap((status) =>
      events.filter((event) => nextStatus(status, event) !== undefined).map((event) => `${status} ${event} ${nextStatus(status, event)}`),
    );
    expect(allowed).toEqual([
      "mounting opened mounted", "mounting refused failed", "mounting withdrawn gone", "mounting end unmounting", "mounting claimed mounting", "mounting released mounting", "mounting abandoned gone",
      "mounted end unmounting", "mounted abandoned gone", "mounted lost mounting",
      "unmounting claimed unmounting", "unmounting released unmounting", "unmounting abandoned gone", "unmounting ended gone",
      "failed end gone", "failed replaced gone",
    ]);
  });

  it("never brings an ended or failed mount back", () => {
    expect(nextStatus("unmounting", "opened")).toBeUndefined();
    expect(nextStatus("failed", "opened")).toBeUndefined();
    expect(nextStatus("unmounting", "lost")).toBeUndefined();
  });
});

describe("what a heartbeat leads to", () => {
  const claimed = { commandDeadline: ago(-5) };
  const stale = { commandDeadline: ago(5) };
  const fresh = { stateChangedAt: ago(0.2) };
  it.each([
    ["a mount that no row asks for is ended", undefined, open, "end_on_agent"],
    ["also while it opens", undefined, opening, "end_on_agent"],
    ["what is open and wanted stays", row("mounted"), open, "none"],
    ["what the agent lost is opened again", row("mounted"), absent, "reopen"],
    ["what it is opening already is left to it", row("mounted"), opening, "none"],
    ["a row opened after the heartbeat was written is not taken for lost", row("mounted", fresh), absent, "none"],
    ["the agent's slot counts", row("mounted", { nbdDevice: "nbd7" }), open, "adopt_slot"],
    ["also when the row lost its own", row("mounted", { nbdDevice: null }), open, "adopt_slot"],
    ["somebody is mounting it", row("mounting", claimed), absent, "none"],
    ["the one who mounted it died before the agent heard", row("mounting", stale), absent, "resend_mount"],
    ["the one who mounted it died before the reply came", row("mounting", stale), open, "resend_mount"],
    ["nobody claimed it", row("mounting"), absent, "resend_mount"],
    ["the agent is still at it", row("mounting", stale), opening, "none"],
    ["somebody is unmounting it", row("unmounting", claimed), open, "none"],
    ["the agent never heard the end", row("unmounting", stale), open, "resend_unmount"],
    ["the end came while it opened", row("unmounting", stale), opening, "resend_unmount"],
    ["it is ended on the agent", row("unmounting", stale), absent, "finish"],
    ["a failed one is not held open", row("failed"), open, "end_on_agent"],
    ["a failed one blocks nothing", row("failed"), absent, "none"],
  ] as const)("%s", (_, given, agent, expected) => {
    expect(decideRepair(given, agent, now, now)).toBe(expected);
  });
});
