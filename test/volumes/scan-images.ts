import { createHash } from "node:crypto";
import type { BlockSource } from "../../agent/blocks/block-source.ts";
import { cached } from "../../agent/blocks/cached.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import type { Volume } from "../../agent/volumes/volume.ts";
import { openImageSource } from "../tools/image-source.ts";

/** Scans the first image as the mounted disk, the others as its siblings. Counts how often these were asked for. */
export async function scanImages(paths: readonly string[]): Promise<{ volumes: Volume[]; siblingsAsked: number }> {
  const [own, ...others] = paths.map((path) => cached(openImageSource(path)));
  let siblingsAsked = 0;
  const siblings = async () => {
    siblingsAsked += 1;
    return others.map((source, index) => ({ name: `disk ${index + 1}`, source }));
  };
  return { volumes: await scanVolumes(own!, { siblings }), siblingsAsked };
}

/** Read in pieces of a size that meets every kind of boundary, through both ways of reading. */
const stepBytes = 700_001;
const smallBytes = 5_000;

/** The MD5 of all bytes, as the guest computed it. */
export async function hashSource(source: BlockSource): Promise<string> {
  const hash = createHash("md5");
  for (let offset = 0; offset < source.sizeBytes; ) {
    const length = Math.min(offset % 3 === 0 ? stepBytes : smallBytes, source.sizeBytes - offset);
    if (length === stepBytes) {
      const bytes = new Uint8Array(length);
      await source.readInto(offset, bytes);
      hash.update(bytes);
    } else hash.update(await source.read(offset, length));
    offset += length;
  }
  return hash.digest("hex");
}

/** Each volume that can be read without a reservation → its hash; the others → their error. */
export async function summarise(volumes: readonly Volume[]): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const volume of volumes) {
    found[volume.name] = volume.source === undefined || volume.error !== undefined ? `${volume.error?.code}: ${volume.error?.message}` : await hashSource(volume.source);
  }
  return found;
}

/** Checks the promise of `extents`: what it calls a hole is zeros, and it covers something. */
export async function assertExtents(source: BlockSource): Promise<number> {
  let holes = 0;
  for (let offset = 0; offset < source.sizeBytes; ) {
    const extents = await source.extents(offset, source.sizeBytes - offset);
    let at = offset;
    for (const extent of extents) {
      if (extent.offset !== at || extent.length <= 0) throw new Error(`extent at ${extent.offset} of ${extent.length}, expected at ${at}`);
      at += extent.length;
      if (!extent.hole) continue;
      holes += extent.length;
      for (let start = extent.offset; start < at; start += stepBytes) {
        const bytes = await source.read(start, Math.min(stepBytes, at - start));
        if (bytes.some((byte) => byte !== 0)) throw new Error(`data in the hole at ${start}`);
      }
    }
    if (at <= offset || at > source.sizeBytes) throw new Error(`extents from ${offset} end at ${at}`);
    offset = at;
  }
  return holes;
}
