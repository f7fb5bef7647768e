import type { BlockSource } from "../blocks/block-source.ts";
import { unsupported } from "../blocks/disk-error.ts";
import type { FileSystem } from "../filesystems/filesystem.ts";
import { adviceFor } from "../filesystems/unread-advice.ts";
import { recognise } from "../filesystems/recognise.ts";
import { detectFileSystem } from "../filesystems/registry.ts";

/** Opens what lies on a volume. Throws "unsupported" with its name where there is no reader for it. */
export async function openFileSystem(source: BlockSource): Promise<FileSystem> {
  const driver = await detectFileSystem(source);
  if (driver !== undefined) return driver.open(source);
  const recognised = await recognise(source);
  if (recognised === undefined) throw unsupported("no known filesystem on this volume");
  throw unsupported(`${recognised.title} ${adviceFor(recognised)}`);
}

/** What the volume holds as blkid names it, also when it can't be opened; null when nothing tells. */
export async function recogniseType(source: BlockSource): Promise<string | null> {
  try {
    return (await recognise(source))?.type ?? null;
  } catch {
    // The volume's own error is shown already; this one would only repeat it.
    return null;
  }
}
