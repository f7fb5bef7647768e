// A reader worker whose disk is made up, with folders that lead a reader astray. Used in the place of agent/reader/worker.ts.
import { parentPort } from "node:worker_threads";
import { memorySource } from "../../agent/blocks/memory-source.ts";
import type { BlockSource } from "../../agent/blocks/block-source.ts";
import { FakeFileSystem, fakeFile, fakeFolder, fakeLink, type FakeNode } from "../../agent/reader/fake-file-system.ts";
import { openDisk } from "../../agent/reader/disk.ts";
import { serveDisk } from "../../agent/reader/serve.ts";

function spin(): never {
  for (;;) Math.sqrt(Math.random());
}

function fillHeap(): never {
  const kept: unknown[] = [];
  for (;;) kept.push({ index: kept.length, name: `n${kept.length}` });
}

async function holdBuffers(): Promise<never> {
  const kept: Uint8Array[] = [];
  for (;;) {
    kept.push(new Uint8Array(64 * 1024 * 1024).fill(1));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const pattern = Buffer.from(Array.from({ length: 1 << 20 }, (_, index) => (index * 7) % 251));

function makeRoot(): FakeNode {
  const small: Record<string, FakeNode> = {};
  for (let index = 0; index < 3000; index += 1) small[`f${String(index).padStart(4, "0")}`] = fakeFile(`contents of ${index}`);
  const source = memorySource(pattern);
  const large = fakeFile("", {
    extents: Array.from({ length: 64 }, (_, index) => ({ kind: "data" as const, offset: index << 20, length: 1 << 20, source, sourceOffset: 0 })),
  });
  return fakeFolder({
    "hello.txt": fakeFile("hello"),
    link: fakeLink("hello.txt"),
    xattr: fakeFile("x", { xattrs: new Map([["user.a", pattern.subarray(0, 5)]]) }),
    huge: fakeFile("", { size: 2n ** 60n }),
    small: fakeFolder(small),
    large,
    spin: fakeFolder(),
    heap: fakeFolder(),
    buffers: fakeFolder(),
    crash: fakeFolder(),
  });
}

class HostileFileSystem extends FakeFileSystem {
  override async *readDirectory(directory: FakeNode) {
    const { entries } = this.root;
    const name = entries.find((entry) => entry.node === directory)?.name;
    if (name === "spin") spin();
    if (name === "heap") fillHeap();
    if (name === "buffers") await holdBuffers();
    if (name === "crash") setImmediate(() => { throw new Error("outside of every request"); });
    yield* super.readDirectory(directory);
  }
}

serveDisk(parentPort!, async ({ diskId, oneByOne, skip }, onOpening) => {
  // The volumes' names tell what opening them does.
  const sources = new Map<BlockSource, string>();
  const volumes = diskId.split(",").map((name) => {
    const source = memorySource(new Uint8Array(512));
    sources.set(source, name);
    return { name, kind: "partition" as const, source, sizeBytes: 512 };
  });
  return openDisk(memorySource(new Uint8Array(512)), {
    diskId,
    skip: new Map(skip),
    ...(oneByOne ? { onOpening } : {}),
    scan: async () => volumes,
    open: async (source) => {
      if (sources.get(source)?.startsWith("spin") === true) spin();
      return new HostileFileSystem(makeRoot());
    },
  });
});
