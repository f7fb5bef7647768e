import type { Agent, Repository } from "../api/types.ts";

/** A repository with the agents that serve it. */
export interface Site {
  readonly id: string;
  readonly name: string;
  readonly online: boolean;
  /** When any of its agents was heard last; null for never. */
  readonly lastSeenAt: string | null;
  readonly agents: readonly Agent[];
}

export function toSites(repositories: readonly Repository[], agents: readonly Agent[]): Site[] {
  return repositories.map(({ id, name, online }) => {
    const own = agents.filter((agent) => agent.repository_id === id);
    const seen = own.flatMap((agent) => (agent.last_seen_at === null ? [] : [agent.last_seen_at])).sort();
    return { id, name, online: online || own.some((agent) => agent.online), lastSeenAt: seen.at(-1) ?? null, agents: own };
  });
}
