import type { FileExtent, FileSystem } from "../../agent/filesystems/filesystem.ts";

/** Takes contents in order. */
export interface ContentSink {
  update(bytes: Uint8Array): void;
  zeros(length: number): void;
}

const chunkBytes = 1 << 20;

/** Streams [offset, offset + length) of a file through its extents, checking that they leave no gap. */
export async function readExtents<Node>(fs: FileSystem<Node>, node: Node, offset: number, length: number, sink: ContentSink): Promise<void> {
  const end = offset + length;
  let position = offset;
  while (position < end) {
    const before = position;
    for (const extent of await fs.extents(node, position, end - position)) {
      if (extent.offset !== position) throw new Error(`extent at ${extent.offset}, expected ${position}`);
      const take = Math.min(extent.length, end - position);
      await readExtent(extent, take, sink);
      position += take;
    }
    if (position === before) throw new Error(`no extent at ${position} of ${end}`);
  }
}

async function readExtent(extent: FileExtent, take: number, sink: ContentSink): Promise<void> {
  switch (extent.kind) {
    case "hole":
      sink.zeros(take);
      return;
    case "inline":
      sink.update(extent.bytes.subarray(0, take));
      return;
    case "decoded":
      sink.update((await extent.read()).subarray(0, take));
      return;
    case "data":
      for (let done = 0; done < take; done += chunkBytes) {
        const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, take - done));
        await extent.source.readInto(extent.sourceOffset + done, chunk);
        sink.update(chunk);
      }
  }
}

/** A range of a file as one buffer: for tests on small files. */
export async function readContents<Node>(fs: FileSystem<Node>, node: Node, offset: number, length: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  await readExtents(fs, node, offset, length, {
    update: (bytes) => void parts.push(bytes),
    zeros: (count) => void parts.push(new Uint8Array(count)),
  });
  return Buffer.concat(parts);
}
