import { describe, expect, it } from "vitest";
import type { Agent } from "../api/types.ts";
import { toSites } from "./to-sites.ts";

const agent = (id: string, repository_id: string, online: boolean, last_seen_at: string | null): Agent => ({ id, name: id, repository_id, public_url: null, version: null, online, last_seen_at, slots_total: 16, slots_used: 0 });
const repository = (id: string, online: boolean) => ({ id, name: id, agent_id: null, online });

describe("sites", () => {
  it("are online when one of their agents is", () => {
    const [site] = toSites([repository("a", false)], [agent("one", "a", false, null), agent("two", "a", true, null), agent("other", "b", true, null)]);
    expect([site?.online, site?.agents.map(({ id }) => id)]).toEqual([true, ["one", "two"]]);
  });

  it("were last seen when their last agent was", () => {
    const [site, empty] = toSites([repository("a", false), repository("b", false)], [agent("one", "a", false, "2026-01-02T00:00:00.000Z"), agent("two", "a", false, "2026-01-01T00:00:00.000Z")]);
    expect([site?.lastSeenAt, empty?.lastSeenAt]).toEqual(["2026-01-02T00:00:00.000Z", null]);
  });
});
