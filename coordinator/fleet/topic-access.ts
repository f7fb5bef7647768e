import { idPattern, topicRoot } from "../../shared/messages.ts";

/** Who is at the other end of a broker connection. */
export type BrokerIdentity = { readonly role: "coordinator" } | { readonly role: "agent"; readonly agentId: string };

type AgentTopic = "command" | "reply" | "status" | "heartbeat" | "events";
export interface ParsedTopic {
  readonly agentId: string;
  readonly kind: AgentTopic;
  /** Only for replies: the coordinator instance they go to. */
  readonly instance: string | undefined;
}

const kinds: ReadonlySet<string> = new Set<AgentTopic>(["command", "reply", "status", "heartbeat", "events"]);

/** @returns undefined for a topic that is not one of ours, letter by letter */
export function parseTopic(topic: string): ParsedTopic | undefined {
  if (!topic.startsWith(`${topicRoot}/`)) return undefined;
  const [agentId, kind, instance, ...rest] = topic.slice(topicRoot.length + 1).split("/");
  if (agentId === undefined || kind === undefined || rest.length > 0) return undefined;
  if (!idPattern.test(agentId) || !isKind(kind)) return undefined;
  if (kind === "reply" ? instance === undefined || !idPattern.test(instance) : instance !== undefined) return undefined;
  return { agentId, kind, instance };
}

function isKind(kind: string): kind is AgentTopic {
  return kinds.has(kind);
}

/**
 * An agent speaks for itself only; a coordinator only gives commands. What is retained stays in the
 * broker's memory, so nothing but an agent's own status may be.
 */
export function mayPublish(identity: BrokerIdentity, topic: string, retain: boolean): boolean {
  const parsed = parseTopic(topic);
  if (parsed === undefined) return false;
  if (identity.role === "coordinator") return parsed.kind === "command" && !retain;
  if (parsed.agentId !== identity.agentId || parsed.kind === "command") return false;
  return !retain || parsed.kind === "status";
}

/** An agent hears its own commands, and no wildcard; a coordinator hears everything under our root. */
export function maySubscribe(identity: BrokerIdentity, filter: string): boolean {
  if (identity.role === "coordinator") return filter.startsWith(`${topicRoot}/`);
  const parsed = parseTopic(filter);
  return parsed !== undefined && parsed.kind === "command" && parsed.agentId === identity.agentId;
}
