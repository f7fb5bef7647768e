import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe } from "vitest";
import { describeMutations } from "../contract/mutations.ts";
import { Churn } from "../ext4/churn.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { withLoopMount } from "../tools/loop-mount.ts";
import { Random } from "../tools/random.ts";
import { makeXfsFromTree } from "./protofile.ts";

let folder: string;
beforeAll(async () => {
  requireTools("mkfs.xfs");
  folder = await temporaryFolder();
});
afterAll(async () => await rm(folder, { recursive: true, force: true }));

// Checksums catch most damage before it does anything. Version 4 has none, so that the reader's own bounds are what
// stands between a wild number and a hang.
describe("version 4, which has no checksums", () => {
  const image = () => join(folder, "version4.img");
  beforeAll(async () => {
    const random = new Random(9);
    const tree = join(folder, "tree");
    for (const [count, name] of [[5, "few"], [40, "block"], [250, "leaves"]] as const) {
      mkdirSync(join(tree, name), { recursive: true });
      for (let i = 0; i < count; i++) symlinkSync("t".repeat((i % 7) * 30 + 1), join(tree, name, `${i}-${"n".repeat(i % 30)}`));
    }
    for (const size of [1, 600, 30_000]) writeFileSync(join(tree, `${size}`), random.bytes(size));
    writeFileSync(image(), "");
    await truncate(image(), 20 * 1024 * 1024);
    await makeXfsFromTree(image(), tree, ["-m", "crc=0", "-b", "size=512", "-l", "size=4m"]);
  });
  describeMutations(image);
});

// Most of what is not zero here is the log, and all of it is read.
describeAsRoot("a log to replay", () => {
  const image = () => join(folder, "dirty.img");
  beforeAll(async () => {
    requireTools("xfs_io", "losetup");
    writeFileSync(image(), "");
    await truncate(image(), 24 * 1024 * 1024);
    await execa("mkfs.xfs", ["-q", "-f", "--unsupported", "-d", "agcount=2", "-l", "size=7m", image()]);
    await withLoopMount(image(), { readOnly: false, type: "xfs" }, async (directory) => {
      const churn = new Churn(directory, new Random(3));
      for (let round = 0; round < 10; round++) {
        churn.run(15);
        churn.sync();
      }
      await execa("xfs_io", ["-x", "-c", "shutdown -f", directory]);
    });
  });
  describeMutations(image);
});
