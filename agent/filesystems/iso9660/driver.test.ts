import { describe, expect, test } from "vitest";
import { memorySource } from "../../blocks/memory-source.ts";
import { iso9660 } from "./driver.ts";

interface RecordFields {
  readonly name: string;
  readonly block: number;
  readonly size: number;
  readonly flags?: number;
  readonly gap?: number;
  readonly attributeBlocks?: number;
}

const DIRECTORY = 2;

function both32(target: Buffer, offset: number, value: number): void {
  target.writeUInt32LE(value, offset);
  target.writeUInt32BE(value, offset + 4);
}

function record({ name, block, size, flags = 0, gap = 0, attributeBlocks = 0 }: RecordFields): Buffer {
  const bytes = Buffer.alloc(33 + name.length + ((name.length + 1) % 2));
  bytes[0] = bytes.length;
  bytes[1] = attributeBlocks;
  both32(bytes, 2, block);
  both32(bytes, 10, size);
  Buffer.from([120, 1, 1, 0, 0, 0, 0]).copy(bytes, 18);
  bytes[25] = flags;
  bytes[27] = gap;
  bytes[32] = name.length;
  bytes.write(name, 33, "latin1");
  return bytes;
}

/** A volume of blocks of the given size, with a root directory of the given records at byte 40960. */
function image(blockBytes: number, records: readonly RecordFields[], rootBytes = 2048): Buffer {
  const disk = Buffer.alloc(64 * 1024);
  const rootBlock = 40_960 / blockBytes;
  const descriptor = disk.subarray(32_768, 34_816);
  descriptor[0] = 1;
  descriptor.write("CD001\x01", 1, "latin1");
  descriptor.write("TEST".padEnd(32), 40, "latin1");
  both32(descriptor, 80, disk.length / blockBytes);
  descriptor.writeUInt16LE(blockBytes, 128);
  const self = { block: rootBlock, size: rootBytes, flags: DIRECTORY };
  record({ name: "\0", ...self }).copy(descriptor, 156);
  disk[34_816] = 255;
  disk.write("CD001\x01", 34_817, "latin1");
  let at = 40_960;
  for (const fields of [{ name: "\0", ...self }, { name: "\x01", ...self }, ...records]) at += record(fields).copy(disk, at);
  for (let position = 45_056; position < disk.length; position += 1) disk[position] = position % 251;
  return disk;
}

async function list(disk: Buffer) {
  const fs = await iso9660.open(memorySource(disk));
  const entries = [];
  for await (const batch of fs.readDirectory(fs.root)) entries.push(...batch);
  return { fs, entries };
}

describe("volumes made by hand", () => {
  test.each([512, 1024, 2048])("are read with blocks of %i bytes, behind attribute blocks", async (blockBytes) => {
    const disk = image(blockBytes, [{ name: "A.TXT;1", block: 47_104 / blockBytes - 1, size: 100, attributeBlocks: 1 }]);
    const { fs, entries } = await list(disk);
    expect(entries.map((entry) => entry.name)).toEqual(["a.txt"]);
    expect(await fs.extents(entries[0]!.node, 0, 100)).toMatchObject([{ kind: "data", offset: 0, length: 100, sourceOffset: 47_104 }]);
    expect(fs.facts).toMatchObject({ label: "TEST", blockSizeBytes: blockBytes, sizeBytes: disk.length, uuid: undefined });
  });

  test("join the sections of a file, and its data where they touch", async () => {
    const { fs, entries } = await list(image(2048, [
      { name: "A;1", block: 22, size: 2048, flags: 0x80 }, { name: "A;1", block: 23, size: 2048, flags: 0x80 }, { name: "A;1", block: 28, size: 10 },
    ]));
    expect(entries).toHaveLength(1);
    expect(await fs.stat([entries[0]!.node])).toMatchObject([{ size: 4106 }]);
    expect(await fs.extents(entries[0]!.node, 100, 5000)).toMatchObject([
      { offset: 100, length: 3996, sourceOffset: 22 * 2048 + 100 }, { offset: 4096, length: 10, sourceOffset: 28 * 2048 },
    ]);
  });

  test("hide associated files and show hidden ones, as Linux does", async () => {
    const { entries } = await list(image(2048, [{ name: "A;1", block: 22, size: 1, flags: 4 }, { name: "A;1", block: 23, size: 1 }, { name: "B;1", block: 24, size: 1, flags: 1 }]));
    expect(entries.map((entry) => entry.name)).toEqual(["a", "b"]);
  });

  test.each([
    ["a file whose last section is missing", [{ name: "A;1", block: 22, size: 2048, flags: 0x80 }], "another record of the file follows"],
    ["a name that no path can hold", [{ name: ";1", block: 22, size: 1 }], "which no path can hold"],
  ])("list %s with an error", async (_, records, message) => {
    const { entries } = await list(image(2048, records));
    expect(entries).toHaveLength(1);
    expect(entries[0]!.error?.message).toContain(message);
  });

  test.each([
    ["interleaved", [{ name: "A;1", block: 22, size: 4096, gap: 1 }], "unsupported", "interleaved"],
    ["of a section that ends inside a block", [{ name: "A;1", block: 22, size: 100, flags: 0x80 }, { name: "A;1", block: 23, size: 1 }], "corrupt", "not whole blocks"],
  ])("show a file %s, but not its contents", async (_, records, code, message) => {
    const { fs, entries } = await list(image(2048, records));
    expect(await fs.stat([entries[0]!.node])).toMatchObject([{ contentError: { code, message: expect.stringContaining(message) } }]);
    expect(() => fs.extents(entries[0]!.node, 0, 1)).toThrow(message);
  });

  test("go on in the next sector behind a damaged record", async () => {
    const disk = image(2048, [{ name: "A;1", block: 22, size: 1 }, { name: "B;1", block: 22, size: 1 }], 4096);
    disk[40_960 + 34 + 34 + 36 + 32] = 200;
    record({ name: "C;1", block: 22, size: 1 }).copy(disk, 43_008);
    const { entries } = await list(disk);
    expect(entries.map((entry) => entry.name)).toEqual(["a", expect.stringMatching(/^#damaged-directory-at-104$/), "c"]);
    expect(entries[1]!.error?.message).toContain("with a name of 200");
  });

  test("say where a directory ends before its time", async () => {
    const { entries } = await list(image(2048, [{ name: "A;1", block: 22, size: 1 }], 1_000_000));
    expect(entries.at(-1)!.error?.message).toContain("1000000 bytes long, the volume ends after 24576 of them");
  });

  test.each([
    ["a block size that isn't one", (disk: Buffer) => disk.writeUInt16LE(4096, 32_768 + 128), "block size 4096"],
    ["no primary descriptor", (disk: Buffer) => disk.fill(3, 32_768, 32_769), "no primary volume descriptor"],
    ["a root that doesn't begin with itself", (disk: Buffer) => disk.fill(0, 40_960, 40_970), "doesn't begin with its own record"],
    ["a root outside the volume", (disk: Buffer) => both32(disk, 32_768 + 156 + 2, 0x00ff_ffff), "doesn't begin with its own record"],
  ])("are refused for %s", async (_, damage, message) => {
    const disk = image(2048, []);
    damage(disk);
    await expect(iso9660.open(memorySource(disk))).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining(message) });
  });
});
