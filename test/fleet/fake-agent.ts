import { setTimeout as sleep } from "node:timers/promises";
import { connect, type MqttClient } from "mqtt";
import { nanoid } from "nanoid";
import { type ErrorBody, PluckError, toErrorBody } from "../../shared/errors.ts";
import { type AgentEvent, type Command, type CommandResult, commandBodies, commandSchema, topics } from "../../shared/messages.ts";

/** A scripted agent: the real wire, no disks. What it does with a command can be changed at any time. */
export interface FakeAgentOptions {
  readonly id: string;
  readonly repositoryId: string;
  readonly brokerUrl: string;
  readonly password?: string;
  readonly slots?: number;
  readonly heartbeatMs?: number;
  readonly publicUrl?: string;
}

export class FakeAgent {
  readonly options: FakeAgentOptions;
  readonly session = `s${nanoid(8)}`;
  readonly open = new Map<string, { nbdDevice: string; lastAccessedAt: Date; transfers: number; qcow2Path: string }>();
  readonly opening = new Set<string>();
  /** Every command that came, also repeated ones. */
  readonly commands: Command[] = [];
  mountDelayMs = 0;
  refuse: ErrorBody | undefined;
  refuseUnmount: ErrorBody | undefined;
  isMute = false;
  sendsHeartbeats = true;
  readonly #client: MqttClient;
  readonly #timer: NodeJS.Timeout;

  constructor(options: FakeAgentOptions) {
    this.options = options;
    this.#client = connect(options.brokerUrl, {
      protocolVersion: 4,
      clean: true,
      clientId: options.id,
      username: options.id,
      ...(options.password === undefined ? {} : { password: options.password }),
      reconnectPeriod: 100,
      reconnectOnConnackError: true,
      queueQoSZero: false,
      keepalive: 10,
      will: { topic: topics.status(options.id), payload: Buffer.from(JSON.stringify(this.#status("offline"))), qos: 1, retain: true },
    });
    this.#client.on("error", () => undefined);
    this.#client.on("connect", () => {
      (this.#client as unknown as { stream: { setNoDelay?: (on: boolean) => void } }).stream.setNoDelay?.(true);
      this.#client.subscribe(topics.command(options.id), { qos: 1 }, () => {
        this.publish(topics.status(options.id), this.#status("online"), true);
        this.heartbeat();
      });
    });
    this.#client.on("message", (_topic, payload) => void this.#command(commandSchema.parse(JSON.parse(payload.toString()))));
    this.#timer = setInterval(() => this.sendsHeartbeats && this.heartbeat(), options.heartbeatMs ?? 200);
  }

  get isConnected(): boolean {
    return this.#client.connected;
  }

  mounts(): string[] {
    return [...this.open.keys()].sort();
  }

  sent(op: string): Command[] {
    return this.commands.filter((command) => command.op === op);
  }

  publish(topic: string, payload: unknown, retain = false): void {
    if (this.#client.connected) this.#client.publish(topic, typeof payload === "string" ? payload : JSON.stringify(payload), { qos: 1, retain });
  }

  heartbeat(): void {
    const mounts = [...this.open].map(([mount_id, mount]) => ({
      mount_id, nbd_device: mount.nbdDevice, last_accessed_at: mount.lastAccessedAt.toISOString(), transfers: mount.transfers,
    }));
    this.publish(topics.heartbeat(this.options.id), {
      v: 1, agent_id: this.options.id, session: this.session, sent_at: new Date().toISOString(),
      slots: { total: this.options.slots ?? 16, used: this.open.size }, mounts, opening: [...this.opening],
    });
  }

  report(events: readonly AgentEvent[]): void {
    this.publish(topics.events(this.options.id), { v: 1, agent_id: this.options.id, events });
  }

  /** As kill -9: the socket goes without a word. */
  kill(): void {
    clearInterval(this.#timer);
    this.#client.options.reconnectPeriod = 0;
    (this.#client as unknown as { stream: { destroy: () => void } }).stream.destroy();
    this.#client.end(true);
  }

  /** In order: it says that it leaves. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#client.connected) await this.#client.publishAsync(topics.status(this.options.id), JSON.stringify(this.#status("offline")), { qos: 1, retain: true });
    await new Promise<void>((resolve) => this.#client.end(false, {}, () => resolve()));
  }

  #status(state: "online" | "offline") {
    const { id, repositoryId, publicUrl = "http://127.0.0.1:9", slots = 16 } = this.options;
    return { v: 1, agent_id: id, state, session: this.session, public_url: publicUrl, repository_id: repositoryId, version: "test", slots };
  }

  async #command(command: Command): Promise<void> {
    this.commands.push(command);
    if (this.isMute || Date.parse(command.deadline) < Date.now()) return;
    try {
      const result = await this.#perform(command);
      this.publish(command.reply_to, { v: 1, id: command.id, ok: true, result });
    } catch (error) {
      this.publish(command.reply_to, { v: 1, id: command.id, ok: false, error: toErrorBody(error) });
    }
  }

  async #perform(command: Command): Promise<unknown> {
    if (command.op === "mount") {
      const body = commandBodies.mount.parse(command.body);
      if (!this.open.has(body.mount_id)) {
        this.opening.add(body.mount_id);
        await sleep(this.mountDelayMs);
        this.opening.delete(body.mount_id);
        if (this.refuse !== undefined) throw new PluckError(this.refuse.code, this.refuse.detail, { retryAfterS: 7 });
        if (!this.open.has(body.mount_id)) this.open.set(body.mount_id, { nbdDevice: this.#freeSlot(), lastAccessedAt: new Date(), transfers: 0, qcow2Path: body.qcow2_path });
      }
      return {
        mount_id: body.mount_id, nbd_device: this.open.get(body.mount_id)?.nbdDevice ?? "", filesystem_type: "ext4", size_bytes: 1_000_000,
        volumes: [{ name: "disk", path: "/disk", kind: "disk", size_bytes: 1_000_000, filesystem_type: "ext4", label: null, uuid: null, used_bytes: 5, state: "clean", partition: null, readable: true, error: null }],
      } satisfies CommandResult<"mount">;
    }
    if (command.op === "unmount") {
      if (this.refuseUnmount !== undefined) throw new PluckError(this.refuseUnmount.code, this.refuseUnmount.detail);
      const { mount_id } = commandBodies.unmount.parse(command.body);
      return { mount_id, was_open: this.open.delete(mount_id) } satisfies CommandResult<"unmount">;
    }
    return { files: [] };
  }

  #freeSlot(): string {
    const taken = new Set([...this.open.values()].map(({ nbdDevice }) => nbdDevice));
    for (let slot = 0; slot < (this.options.slots ?? 16); slot += 1) if (!taken.has(`nbd${slot}`)) return `nbd${slot}`;
    throw new PluckError("nbd_devices_exhausted", "All slots are taken.", { retryAfterS: 30 });
  }
}
