import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

/** Where `npm run build` puts the page. */
export const pageFolder = join(import.meta.dirname, "dist");

/** A file of the built page, ready to be sent. */
export interface StaticFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly gzipped: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  readonly etag: string;
  /** Its name carries a hash of its contents: it never changes. */
  readonly immutable: boolean;
}

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
  ".png": "image/png",
};

/**
 * Reads the built page into memory: some hundred kilobytes.
 * @returns by path as in a URL ("/", "/assets/index-5f1c.js"); empty when the page has not been built
 */
export async function readStaticFiles(folder: string): Promise<ReadonlyMap<string, StaticFile>> {
  const files = new Map<string, StaticFile>();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  for (const entry of entries) {
    const contentType = contentTypes[extname(entry.name)];
    if (!entry.isFile() || contentType === undefined) continue;
    const bytes = new Uint8Array(await readFile(join(entry.parentPath, entry.name)));
    const path = join(entry.parentPath, entry.name).slice(folder.length);
    files.set(path === "/index.html" ? "/" : path, {
      bytes,
      gzipped: new Uint8Array(await promisify(gzip)(bytes, { level: 9 })),
      contentType,
      etag: `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`,
      immutable: path.startsWith("/assets/"),
    });
  }
  return files;
}
