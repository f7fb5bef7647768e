import { expect, test } from "vitest";
import { memorySource } from "../../blocks/memory-source.ts";
import { RockRidge } from "./rock-ridge.ts";
import { readSystemUse } from "./system-use.ts";

const BLOCK = 2048;

function both(value: number): number[] {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(value, 0);
  bytes.writeUInt32BE(value, 4);
  return [...bytes];
}

const entry = (signature: string, ...data: number[]): number[] => [...Buffer.from(signature), data.length + 4, 1, ...data];
const name = (text: string, flags = 0): number[] => entry("NM", flags, ...Buffer.from(text));
const goesOn = (block: number, offset: number, length: number): number[] => entry("CE", ...both(block), ...both(offset), ...both(length));

async function read(area: number[], disk: Buffer = Buffer.alloc(4 * BLOCK)): Promise<{ rock: RockRidge; damage: string | undefined }> {
  const rock = new RockRidge();
  const list = { visit: rock.visit, area: Uint8Array.from(area), offsetBytes: 0, damage: undefined as Error | undefined };
  await readSystemUse(memorySource(disk), BLOCK, [list as never]);
  return { rock, damage: list.damage?.message };
}

test("puts a name together from entries of several areas", async () => {
  const disk = Buffer.alloc(4 * BLOCK);
  Buffer.from([...name("middle ", 1), ...goesOn(2, 0, 30)]).copy(disk, BLOCK + 100);
  Buffer.from([...name("end"), ...entry("ST")]).copy(disk, 2 * BLOCK);
  const { rock, damage } = await read([...goesOn(1, 100, 40), ...name("start ", 1)], disk);
  expect(damage).toBeUndefined();
  expect(rock.name).toBe("start middle end");
});

test("ends a continuation that comes back to itself", async () => {
  const disk = Buffer.alloc(4 * BLOCK);
  Buffer.from(goesOn(1, 0, 28)).copy(disk, BLOCK);
  const { damage } = await read(goesOn(1, 0, 28), disk);
  expect(damage).toContain("more than 32 continuations");
});

test.each([
  ["leaves its block", goesOn(1, 2000, 100), "leave the block"],
  ["lies outside the volume", goesOn(9, 0, 100), "outside the volume"],
  ["is of enormous length", goesOn(1, 0, 0xffff_ffff), "leave the block"],
  ["is cut off", entry("CE", 1, 2, 3), "expected 28"],
])("refuses a continuation that %s", async (_, area, message) => {
  expect((await read(area)).damage).toContain(message);
});

test.each([
  ["an entry longer than its area", [...Buffer.from("NM"), 40, 1, 0], "40 bytes long"],
  ["an entry shorter than its header", [...Buffer.from("NM"), 2, 1, 0], "2 bytes long"],
  ["PX that is too short", entry("PX", 1, 2, 3), "PX"],
  ["ZF that is too short", entry("ZF", ...Buffer.from("pz")), "ZF"],
  ["TF without the times that it announces", entry("TF", 0x0e, 1, 2, 3), "TF"],
  ["a component longer than its SL", entry("SL", 0, 0, 50, 1, 2), "component of 50 bytes"],
])("refuses %s, and keeps what came before", async (_, area, message) => {
  const { rock, damage } = await read([...name("kept"), ...area]);
  expect(damage).toContain(message);
  expect(rock.name).toBe("kept");
});

test("takes zeros and single bytes at the end for padding", async () => {
  expect(await read([...name("a"), 0, 0, 0, 0])).toMatchObject({ damage: undefined, rock: { name: "a" } });
  expect(await read([...name("a"), 0])).toMatchObject({ damage: undefined, rock: { name: "a" } });
});

test.each([
  ["a relative path", [entry("SL", 0, 4, 0, 2, 0, 0, 1, ...Buffer.from("x"))], ".././x"],
  ["an absolute path", [entry("SL", 0, 8, 0, 0, 3, ...Buffer.from("etc"))], "/etc"],
  ["a component in two pieces", [entry("SL", 1, 1, 2, ...Buffer.from("ab")), entry("SL", 0, 0, 1, ...Buffer.from("c"))], "abc"],
  ["a path in two entries", [entry("SL", 1, 0, 2, ...Buffer.from("ab")), entry("SL", 0, 0, 1, ...Buffer.from("c"))], "ab/c"],
])("reads the target of a symlink: %s", async (_, area, target) => {
  const { rock } = await read(area.flat());
  expect(rock.target).toBe(target);
});

test("reads times in both forms, each with its own zone", async () => {
  const short = await read(entry("TF", 0x0a, 120, 1, 1, 1, 0, 0, 4, 120, 1, 1, 0, 0, 0, 0));
  expect(short.rock.modifiedAt).toEqual({ seconds: Date.UTC(2020, 0, 1) / 1000, nanoseconds: 0, digits: 0 });
  expect(short.rock.changedAt?.seconds).toBe(Date.UTC(2020, 0, 1) / 1000);
  const long = await read(entry("TF", 0x82, ...Buffer.from("2020010100000025"), 0));
  expect(long.rock.modifiedAt).toEqual({ seconds: Date.UTC(2020, 0, 1) / 1000, nanoseconds: 250_000_000, digits: 2 });
});

test("keeps a name of 255 bytes, and says when a longer one is cut", async () => {
  const long = [...name("x".repeat(200), 1), ...name("y".repeat(55))];
  expect((await read(long)).rock).toMatchObject({ name: "x".repeat(200) + "y".repeat(55), isNameTruncated: false });
  expect((await read([...long, ...name("z")])).rock.isNameTruncated).toBe(true);
});
