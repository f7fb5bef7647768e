import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import { memorySource } from "../../agent/blocks/memory-source.ts";
import { ext4 } from "../../agent/filesystems/ext4/driver.ts";
import { requireTools, temporaryFolder } from "../tools/environment.ts";
import { compareListings, type Listing } from "../tools/listing.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";

const blockSize = 1024;
const magic = Buffer.from("c03b3998", "hex");
const blockType = { descriptor: 1, commit: 2 } as const;

// Logs written by debugfs, one transaction at a time, into the blocks of a file. e2fsck replays a copy,
// with code that the kernel shares; the reader must show the same of the log that nobody replayed.
describe("logs written by debugfs", () => {
  let folder: string;
  let firstBlock: number;
  beforeAll(async () => {
    requireTools("mke2fs", "debugfs", "e2fsck");
    folder = await temporaryFolder();
    mkdirSync(join(folder, "tree"));
    writeFileSync(join(folder, "tree", "target"), Buffer.alloc(16 * blockSize, "o"));
    writeFileSync(join(folder, "tree", "other"), "stays");
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  interface Case {
    readonly features: string;
    readonly open: string;
    /** Journal commands after "jo"; $0 to $15 are the blocks of the file, @name a file of data. */
    readonly commands: readonly string[];
    readonly damage?: (image: Buffer) => void;
  }

  async function makeLog({ features, open, commands, damage }: Case): Promise<string> {
    const image = join(folder, "image");
    await rm(image, { force: true });
    await execa("mke2fs", ["-q", "-F", "-t", "ext4", "-b", String(blockSize), "-O", features, "-J", "size=1", "-d", join(folder, "tree"), image, "8M"]);
    const { stdout } = await execa("debugfs", ["-R", "blocks /target", image]);
    const blocks = stdout.trim().split(/\s+/).map(Number);
    firstBlock = blocks[0]!;
    expect(blocks).toEqual(Array.from({ length: 16 }, (_, index) => firstBlock + index));
    const random = new Random(11);
    for (const name of ["a", "b", "c"]) writeFileSync(join(folder, name), random.bytes(8 * blockSize));
    const escaped = random.bytes(8 * blockSize);
    for (let at = 0; at < escaped.length; at += 2 * blockSize) magic.copy(escaped, at);
    writeFileSync(join(folder, "escaped"), escaped);
    const script = [open, ...commands, "jc", "feature needs_recovery"]
      .join("\n").replace(/\$(\d+)/g, (_, index: string) => String(firstBlock + Number(index))).replace(/@(\w+)/g, (_, name: string) => join(folder, name));
    writeFileSync(join(folder, "script"), `${script}\n`);
    await execa("debugfs", ["-w", "-f", join(folder, "script"), image]);
    if (damage !== undefined) {
      const bytes = readFileSync(image);
      damage(bytes);
      writeFileSync(image, bytes);
    }
    return image;
  }

  async function show(path: string): Promise<{ listing: Listing; state: string }> {
    const fs = await ext4.open(cached(memorySource(readFileSync(path))));
    return { listing: await walkFileSystem(fs), state: fs.facts.state };
  }

  async function expectSameAsE2fsck(image: string): Promise<Listing> {
    const replayed = join(folder, "replayed");
    copyFileSync(image, replayed);
    await execa("e2fsck", ["-y", "-E", "journal_only", replayed], { reject: false });
    const before = readFileSync(image);
    const { listing, state } = await show(image);
    expect(state).toBe("recovered");
    expect(readFileSync(image).equals(before)).toBe(true);
    const expected = await show(replayed);
    expect(expected.state).toBe("clean");
    expect(compareListings(expected.listing, listing)).toEqual([]);
    return listing;
  }

  const formats: readonly (readonly [name: string, features: string, open: string])[] = [
    ["without checksums", "^metadata_csum,^64bit,^resize_inode", "jo"],
    ["without checksums, 64-bit", "^metadata_csum,64bit,^resize_inode", "jo"],
    ["with checksums v2", "metadata_csum,^64bit,^resize_inode", "jo -c -v 2"],
    ["with checksums v2, 64-bit", "metadata_csum,64bit,^resize_inode", "jo -c -v 2"],
    ["with checksums v3", "metadata_csum,^64bit,^resize_inode", "jo -c -v 3"],
    ["with checksums v3, 64-bit", "metadata_csum,64bit,^resize_inode", "jo -c -v 3"],
  ];

  describe.each(formats)("%s", (_, features, open) => {
    test("the last transaction that logs a block wins", async () => {
      const image = await makeLog({ features, open, commands: ["jw -b $0-$7 @a", "jw -b $4-$11 @b", "jw -b $5-$6 @c"] });
      await expectSameAsE2fsck(image);
    });

    test("a revoked block keeps what the disk has, unless it is logged again later", async () => {
      const image = await makeLog({ features, open, commands: ["jw -b $0-$7 @a", "jw -r $1-$3", "jw -b $3 @b", "jw -b $8-$9 @c", "jw -r $9"] });
      await expectSameAsE2fsck(image);
    });

    test("blocks that begin with the journal's magic number get it back", async () => {
      const image = await makeLog({ features, open, commands: ["jw -b $0-$7 @escaped"] });
      await expectSameAsE2fsck(image);
    });

    test("a transaction without its commit block never happened", async () => {
      const damage = (bytes: Buffer) => findBlocks(bytes, blockType.commit).at(-1)!.fill(0);
      const whole = await expectSameAsE2fsck(await makeLog({ features, open, commands: ["jw -b $0-$3 @a", "jw -b $0-$7 @b"] }));
      const torn = await expectSameAsE2fsck(await makeLog({ features, open, commands: ["jw -b $0-$3 @a", "jw -b $0-$7 @b"], damage }));
      expect(torn.get("target")!.sha256).not.toBe(whole.get("target")!.sha256);
    });
  });

  describe.each(formats.slice(2))("%s", (_, features, open) => {
    const commands = ["jw -b $0-$3 @a", "jw -b $4-$7 @b"];

    test("a committed block that is damaged in the log is refused", async () => {
      const damage = (bytes: Buffer) => {
        const logged = bytes.indexOf(readFileSync(join(folder, "a")).subarray(0, blockSize));
        bytes[logged + 100]! ^= 1;
      };
      await expectRefused(await makeLog({ features, open, commands, damage }), /wrong checksum of the logged block/);
    });

    test("a damaged descriptor of a committed transaction is refused", async () => {
      const damage = (bytes: Buffer) => void (findBlocks(bytes, blockType.descriptor)[0]![700]! ^= 1);
      await expectRefused(await makeLog({ features, open, commands, damage }), /descriptor or revoke blocks is wrong/);
    });

    test("a commit block of which only the first sector was written counts", async () => {
      // Whatever else lies in the block was there before.
      const damage = (bytes: Buffer) => findBlocks(bytes, blockType.commit).at(-1)!.fill(0x55, 512);
      const whole = await show(await makeLog({ features, open, commands }));
      const torn = await show(await makeLog({ features, open, commands, damage }));
      // Made at different times.
      const ignore = new Set(["mtimeSeconds", "mtimeNanoseconds"] as const);
      expect(compareListings(whole.listing, torn.listing, { ignore })).toEqual([]);
    });
  });

  async function expectRefused(image: string, message: RegExp): Promise<void> {
    const error = await show(image).then(() => undefined, (thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DiskError);
    expect(error).toMatchObject({ code: "corrupt", message: expect.stringMatching(message) });
  }
});

/** Views of the blocks of a type in the log; data of the tests never looks like one. */
function findBlocks(image: Buffer, type: number): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < image.length; at += blockSize) {
    const block = image.subarray(at, at + blockSize);
    if (block.subarray(0, 4).equals(magic) && block.readUInt32BE(4) === type) found.push(block);
  }
  return found;
}
