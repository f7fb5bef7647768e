import { Counter, Gauge, Registry } from "prom-client";
import type { OpenMounts } from "../mounts/open-mount.ts";

/** Numbers for a Prometheus scrape. No label ever holds a path, a user or a token. */
export interface AgentMetrics {
  readonly registry: Registry;
  readonly bytesSent: Counter;
  /** Read for the hashes of files. */
  readonly hashedBytes: Counter;
  /** By operation and outcome ("complete", "client_gone", an error code). */
  readonly transfers: Counter<"operation" | "outcome">;
  readonly requests: Counter<"route" | "status">;
  /** Reads that the storage below (qemu-nbd, the repository) failed. */
  readonly nbdErrors: Counter;
}

export function createAgentMetrics(mounts: OpenMounts): AgentMetrics {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({ name: "pluck_agent_slots", help: "Export slots in all", registers, collect() { this.set(mounts.slots); } });
  new Gauge({ name: "pluck_agent_open_mounts", help: "Disks open now", registers, collect() { this.set(mounts.list().length); } });
  new Gauge({
    name: "pluck_agent_running_transfers", help: "Downloads and archives being sent now", registers,
    collect() { this.set(mounts.list().reduce((sum, mount) => sum + mount.transfers, 0)); },
  });
  return {
    registry,
    bytesSent: new Counter({ name: "pluck_agent_sent_bytes_total", help: "Bytes of files and archives sent", registers }),
    hashedBytes: new Counter({ name: "pluck_agent_hashed_bytes_total", help: "Bytes of files read for their hashes", registers }),
    transfers: new Counter({ name: "pluck_agent_transfers_total", help: "Transfers ended", labelNames: ["operation", "outcome"], registers }),
    requests: new Counter({ name: "pluck_agent_requests_total", help: "Requests answered", labelNames: ["route", "status"], registers }),
    nbdErrors: new Counter({ name: "pluck_agent_nbd_errors_total", help: "Requests and transfers that failed because the storage could not read", registers }),
  };
}
