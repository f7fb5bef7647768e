import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { crc32c } from "../../blocks/crc32c.ts";
import { parseSuperblock } from "./superblock.ts";

function superblock(change: (bytes: Buffer) => void = () => undefined): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.fill(7, 0x20, 0x30);
  bytes.fill(7, 0xc9 + 0x52, 0xc9 + 0x62);
  bytes.writeBigUInt64LE(65_536n, 0x30);
  bytes.write("_BHRfS_M", 0x40, "latin1");
  bytes.writeBigUInt64LE(10n, 0x48);
  bytes.writeBigUInt64LE(0x100000n, 0x50);
  bytes.writeBigUInt64LE(0x200000n, 0x58);
  bytes.writeBigUInt64LE(1n << 30n, 0x70);
  bytes.writeBigUInt64LE(1n, 0x88);
  bytes.writeUInt32LE(4096, 0x90);
  bytes.writeUInt32LE(16_384, 0x94);
  bytes.writeUInt32LE(16_384, 0x98);
  bytes.writeBigUInt64LE(1n, 0xc9);
  bytes.write("a label", 0x12b);
  change(bytes);
  if (bytes.readUInt16LE(0xc4) === 2) bytes.set(createHash("sha256").update(bytes.subarray(0x20)).digest(), 0);
  else bytes.writeUInt32LE(crc32c(bytes, 0x20), 0);
  return bytes;
}

const parse = (bytes: Buffer) => parseSuperblock(bytes, 65_536);

describe("a superblock", () => {
  test("tells the geometry and the label", async () => {
    expect(await parse(superblock())).toMatchObject({ generation: 10, rootLogical: 0x100000, sectorBytes: 4096, nodeBytes: 16_384, label: "a label", deviceId: 1, logRootLogical: 0 });
  });

  test("is checked by the checksum that it names", async () => {
    expect((await parse(superblock((bytes) => void bytes.writeUInt16LE(2, 0xc4)))).checksum.name).toBe("sha256");
    const bytes = superblock();
    bytes[0x500] = 1;
    await expect(parse(bytes)).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("crc32c") });
    await expect(parse(superblock((changed) => void changed.writeUInt16LE(9, 0xc4)))).rejects.toMatchObject({ code: "unsupported", message: "btrfs checksum type 9" });
  });

  test.each([
    [12, "zoned"], [13, "extent_tree_v2"], [14, "raid_stripe_tree"], [15, "encrypt"], [17, "remap_tree"], [40, "incompat 0x10000000000"],
  ])("with incompatible feature %d is refused by its name", async (bit, name) => {
    const bytes = superblock((changed) => void changed.writeBigUInt64LE(1n << BigInt(bit), 0xbc));
    await expect(parse(bytes)).rejects.toMatchObject({ code: "unsupported", message: `btrfs feature ${name}` });
  });

  test("with the features that change nothing for a reader is read", async () => {
    expect((await parse(superblock((bytes) => void bytes.writeBigUInt64LE(0x10bffn, 0xbc)))).noHoles).toBe(true);
  });

  test.each([
    ["sectorsize 0", (bytes: Buffer) => bytes.writeUInt32LE(0, 0x90)],
    ["sectorsize 512", (bytes: Buffer) => bytes.writeUInt32LE(512, 0x90)],
    ["nodesize 131072", (bytes: Buffer) => bytes.writeUInt32LE(131_072, 0x94)],
    ["leafsize 4096", (bytes: Buffer) => bytes.writeUInt32LE(4096, 0x98)],
    ["root 1048577", (bytes: Buffer) => bytes.writeBigUInt64LE(1_048_577n, 0x50)],
    ["root_level 8", (bytes: Buffer) => bytes.writeUInt8(8, 0xc6)],
    ["sys_chunk_array_size 2049", (bytes: Buffer) => bytes.writeUInt32LE(2049, 0xa0)],
    ["num_devices 0", (bytes: Buffer) => bytes.writeBigUInt64LE(0n, 0x88)],
    ["bytenr 4096", (bytes: Buffer) => bytes.writeBigUInt64LE(4096n, 0x30)],
  ])("with %s is corrupt", async (message, change) => {
    await expect(parse(superblock((bytes) => void change(bytes)))).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining(message) });
  });
});
