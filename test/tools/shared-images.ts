import { existsSync, readdirSync, statSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { createHash, randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";

const projectRoot = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** The folder of disk images that others wrote; undefined where it isn't. */
export const sharedImagesPath: string | undefined = [
  process.env["PLUCK_SHARED_IMAGES"],
  resolve(projectRoot, "../shared/images"),
].find((path) => path !== undefined && existsSync(path));

/** What the tests say instead of running when the folder is absent. */
export const noSharedImages = "passed over: no folder of shared images (PLUCK_SHARED_IMAGES or ../shared/images)";

export interface SharedImage {
  /** "ext4/view_ext2". */
  readonly name: string;
  readonly qcow2Path: string;
  /** Expected listings by volume: "" for the whole disk, "p1", "vg-lv". */
  readonly expected: ReadonlyMap<string, string>;
  readonly partitionTable: string | undefined;
}

/** The images of one kind ("ext4", "fat", "pt" …), by name; empty when the folder is absent. */
export function sharedImages(kind: string): SharedImage[] {
  if (sharedImagesPath === undefined) return [];
  const folder = join(sharedImagesPath, kind);
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).sort();
  return files.filter((file) => file.endsWith(".qcow2")).map((file) => {
    const base = file.slice(0, -".qcow2".length);
    const expected = new Map<string, string>();
    for (const other of files) {
      const match = /^\.(?:(.+)\.)?expected\.jsonl\.zst$/.exec(other.startsWith(base) ? other.slice(base.length) : "");
      if (match !== null) expected.set(match[1] ?? "", join(folder, other));
    }
    const table = join(folder, `${base}.parttable.json.zst`);
    return {
      name: `${kind}/${base}`,
      qcow2Path: join(folder, file),
      expected,
      partitionTable: existsSync(table) ? table : undefined,
    };
  });
}

/** A sparse raw copy of a qcow2, made once and kept for later runs in memory where there is a /dev/shm. */
export async function rawFromQcow2(qcow2Path: string): Promise<string> {
  const folder = join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "pluck-test-images");
  await mkdir(folder, { recursive: true });
  const { size, mtimeMs } = statSync(qcow2Path);
  const key = createHash("sha256").update(`${resolve(qcow2Path)} ${size} ${mtimeMs}`).digest("hex").slice(0, 24);
  const raw = join(folder, `${key}.raw`);
  if (existsSync(raw)) return raw;
  // Under a name of its own first: two test workers may convert the same image.
  const temporary = join(folder, `${key}.${randomUUID()}`);
  try {
    await execa("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", qcow2Path, temporary]);
    await rename(temporary, raw);
  } finally {
    await rm(temporary, { force: true });
  }
  return raw;
}
