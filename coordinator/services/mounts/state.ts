import type { MountStatus } from "../../../shared/api.ts";

/**
 * The life of a restore_mounts row, as a table. Every change of a row goes through it (rows.ts), as a
 * compare-and-set on id, status and generation.
 *
 * ```
 *   insert ─▶ mounting ──opened──▶ mounted ──end──▶ unmounting ──ended──▶ gone
 *              │  ▲  └──refused──▶ failed ──end, replaced──▶ gone
 *              │  └──────lost──────┘ (the agent was restarted: opened again under the same id)
 *              └──end──▶ unmounting;  ──withdrawn──▶ gone (no slot was free: nothing to show)
 * ```
 * `claimed` leaves the status as it is: a command whose sender may be dead is sent again by whoever
 * gets the claim. `released` gives a claim up, so that the next one need not wait for its deadline.
 * `abandoned` takes away a row whose agent is gone for long; should it come back, it ends the mount as
 * one that no row asks for.
 */
export const transitions = {
  mounting: { opened: "mounted", refused: "failed", withdrawn: "gone", end: "unmounting", claimed: "mounting", released: "mounting", abandoned: "gone" },
  mounted: { lost: "mounting", end: "unmounting", abandoned: "gone" },
  unmounting: { ended: "gone", claimed: "unmounting", released: "unmounting", abandoned: "gone" },
  failed: { end: "gone", replaced: "gone" },
} as const satisfies Record<MountStatus, Record<string, MountStatus | "gone">>;

type Transitions = typeof transitions;
export type MountEvent = { [S in MountStatus]: keyof Transitions[S] }[MountStatus];

/** @returns undefined when this can't happen in this status */
export function nextStatus(status: MountStatus, event: MountEvent): MountStatus | "gone" | undefined {
  const row: Partial<Record<MountEvent, MountStatus | "gone">> = transitions[status];
  return row[event];
}

/** What an agent's heartbeat says of one mount. */
export type AgentView = { readonly is: "open"; readonly nbdDevice: string } | { readonly is: "opening" } | { readonly is: "absent" };

export interface RowView {
  readonly status: MountStatus;
  readonly nbdDevice: string | null;
  readonly stateChangedAt: Date;
  readonly commandDeadline: Date | null;
}

/**
 * - `reopen`: the agent lost it (it was restarted): open it again under the same id
 * - `resend_mount`, `resend_unmount`: whoever sent the command is gone or was not heard
 * - `finish`: the agent has ended it; the row may go
 * - `end_on_agent`: the agent holds what no row wants
 * - `adopt_slot`: the row names another slot than the agent
 */
export type Repair = "none" | "reopen" | "resend_mount" | "resend_unmount" | "finish" | "end_on_agent" | "adopt_slot";

/**
 * A heartbeat tells of the moment it was written; a row that changed about then or later says more
 * than it does. The margin allows for coordinators whose clocks differ.
 */
export const heartbeatMarginMs = 1000;

/** What to do about one mount, given its row (undefined: none) and what its agent just said. */
export function decideRepair(row: RowView | undefined, agent: AgentView, heardAt: Date, now: Date): Repair {
  if (row === undefined) return agent.is === "absent" ? "none" : "end_on_agent";
  const isNewer = row.stateChangedAt.getTime() > heardAt.getTime() - heartbeatMarginMs;
  const isClaimed = row.commandDeadline !== null && row.commandDeadline.getTime() > now.getTime();
  switch (row.status) {
    case "mounted":
      if (isNewer || agent.is === "opening") return "none";
      if (agent.is === "absent") return "reopen";
      return agent.nbdDevice === row.nbdDevice ? "none" : "adopt_slot";
    case "mounting":
      return isClaimed || agent.is === "opening" ? "none" : "resend_mount";
    case "unmounting":
      if (isClaimed) return "none";
      return agent.is === "absent" && !isNewer ? "finish" : "resend_unmount";
    case "failed":
      return agent.is === "absent" || isNewer ? "none" : "end_on_agent";
  }
}
