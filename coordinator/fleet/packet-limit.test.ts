import { describe, expect, it } from "vitest";
import { PacketMeter } from "./packet-limit.ts";

const pingRequest = Buffer.from([0xc0, 0]);

/** A PUBLISH at QoS 0 on the topic "t": header, topic (2 + 1 bytes), payload. */
function publish(payloadBytes: number): Buffer {
  const length: number[] = [];
  for (let rest = payloadBytes + 3; rest > 0 || length.length === 0; rest >>>= 7) length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
  return Buffer.concat([Buffer.from([0x30, ...length, 0, 1, 0x74]), Buffer.alloc(payloadBytes)]);
}

describe("the packet meter", () => {
  it("passes packets up to the limit, however they are cut", () => {
    const wire = Buffer.concat([pingRequest, publish(0), publish(127), publish(128), publish(20_000), pingRequest]);
    for (const step of [1, 2, 7, 4096, wire.length]) {
      const meter = new PacketMeter(20_003);
      for (let offset = 0; offset < wire.length; offset += step) expect(meter.feed(wire.subarray(offset, offset + step))).toBeUndefined();
    }
  });

  it("refuses a packet over the limit by its header, before its payload arrives", () => {
    const meter = new PacketMeter(20_002);
    expect(meter.feed(publish(20_000).subarray(0, 4))).toMatch(/20003 bytes, the limit is 20002/);
  });

  it("refuses a length of more than four bytes", () => {
    expect(new PacketMeter(1e9).feed(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff]))).toMatch(/more than four/);
  });

  it("holds the new limit once it is raised", () => {
    const meter = new PacketMeter(100);
    meter.setLimit(1000);
    expect(meter.feed(publish(500))).toBeUndefined();
  });
});
