import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { openFileSource } from "./file-source.ts";

test("reads a file's bytes; past its end is corrupt, an end that moved is io_error", async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "pluck-file-"));
  try {
    const file = path.join(folder, "disk.raw");
    await writeFile(file, "0123456789");
    const source = await openFileSource(file);
    expect(source.sizeBytes).toBe(10);
    expect(Buffer.from(await source.read(2, 3)).toString()).toBe("234");
    const target = Buffer.alloc(4);
    await source.readInto(6, target);
    expect(target.toString()).toBe("6789");
    expect(await source.extents(0, 10)).toEqual([{ offset: 0, length: 10, hole: false }]);
    expect(() => source.read(8, 3)).toThrow(expect.objectContaining({ code: "corrupt" }));
    await expect(source.readInto(0, target, AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
    await truncate(file, 5);
    await expect(source.readInto(4, target)).rejects.toMatchObject({ code: "io_error" });
    await source.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});
