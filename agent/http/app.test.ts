import { describe, expect, it } from "vitest";
import { fileInfoSchema, listingSchema } from "../../shared/api.ts";
import { createFakeAgent, fakeOrigin } from "../../test/http/fake-agent.ts";
import { file, folder, patternOf } from "../../test/http/fake-reader.ts";

const hello = "0123456789abcdefghij";
const big = { name: "big.bin", type: "file", patternBytes: 3_000_001 } as const;

async function agent() {
  return await createFakeAgent([
    folder("p1", [
      folder("etc", [file("hosts", "127.0.0.1 localhost\n"), file("100%41", "percent")]),
      file("hello.txt", hello, { mode: 0o4755, uid: 1000, gid: 1001, xattrs: [["user.comment", Buffer.from("hi")]] }),
      big,
      file("empty", ""),
      { ...file("x", "latin"), name: "caf\xe9" },
      { name: "sda", type: "other", mode: 0o060660, deviceMajor: 8, deviceMinor: 1 },
      { ...file("torn", "x".repeat(10)), failsAt: 0 },
      { name: "bad", type: "file", error: { code: "corrupt", detail: "inode 12: checksum" } },
    ]),
  ]);
}

async function problemOf(response: Response): Promise<{ status: number; code: string; detail: string }> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const body = (await response.json()) as { code: string; detail: string; request_id: string };
  expect(body.request_id).toBe(response.headers.get("x-request-id"));
  return { status: response.status, code: body.code, detail: body.detail };
}

describe("links", () => {
  it("refuses an unknown mount, a missing token, a wrong one, another operation, path, format and an expired one", async () => {
    const { app, link, get } = await agent();
    expect(await problemOf(await app.request("/v1/mounts/other/files?path=/&token=x"))).toMatchObject({ status: 404, code: "mount_not_found" });
    expect(await problemOf(await app.request("/v1/mounts/m1/files?path=/"))).toMatchObject({ status: 401, code: "unauthenticated" });
    expect(await problemOf(await app.request("/v1/mounts/m1/files?path=/&token=x.y.z"))).toMatchObject({ status: 403, code: "link_invalid" });
    const listing = await link("files", "/p1/etc");
    expect(await problemOf(await app.request(listing.replace("/files?", "/download?")))).toMatchObject({ code: "link_invalid" });
    expect(await problemOf(await app.request(listing.replace("path=%2Fp1%2Fetc", "path=%2Fp1")))).toMatchObject({ code: "link_invalid" });
    expect(await problemOf(await app.request(await link("files", "/", {}, { agentId: "agent-2" })))).toMatchObject({ code: "link_invalid" });
    expect(await problemOf(await app.request(await link("files", "/", {}, { mountId: "m2" })))).toMatchObject({ code: "link_invalid" });
    expect(await problemOf(await app.request(await link("files", "/", {}, { lifeS: -60 })))).toMatchObject({ code: "link_expired" });
    const tar = await link("archive", "/p1/etc", { format: "tar" });
    expect(await problemOf(await app.request(tar.replace("format=tar", "format=zip")))).toMatchObject({ code: "link_invalid" });
    expect(await problemOf(await get("files", "/p1/../p1"))).toMatchObject({ status: 400, code: "invalid_request" });
    expect(await problemOf(await app.request("/elsewhere"))).toMatchObject({ status: 404, code: "not_found" });
  });

  it("are for reading only: other methods are told what there is", async () => {
    const { app, link } = await agent();
    const response = await app.request(await link("files", "/"), { method: "POST" });
    expect(response.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
    expect(await problemOf(response)).toMatchObject({ status: 405, code: "method_not_allowed" });
  });

  it("lets a browse link reach what lies below it, and takes the token as a bearer too", async () => {
    const { app, link } = await agent();
    const url = await link("files", "/p1");
    expect((await app.request(url.replace("path=%2Fp1", "path=%2Fp1%2Fetc"))).status).toBe(200);
    const token = new URLSearchParams(url.split("?")[1]).get("token") ?? "";
    expect((await app.request("/v1/mounts/m1/files?path=/p1", { headers: { Authorization: `Bearer ${token}` } })).status).toBe(200);
  });

  it("slides the lease with an access, but not with a refused one", async () => {
    const { app, get, touches } = await agent();
    await app.request("/v1/mounts/m1/files?path=/&token=x.y.z");
    expect(touches()).toBe(0);
    await get("files", "/");
    expect(touches()).toBe(1);
  });

  it("never writes a token to the log", async () => {
    const fake = await agent();
    const urls = [await fake.link("files", "/p1"), await fake.link("download", "/p1/torn"), await fake.link("download", "/p1/hello.txt"), await fake.link("files", "/p1", {}, { lifeS: -60 })];
    for (const url of urls) await (await fake.app.request(url)).text();
    expect(fake.logLines.length).toBeGreaterThan(3);
    for (const url of urls) {
      const token = new URLSearchParams(url.split("?")[1]).get("token") ?? "";
      for (const part of token.split(".")) expect(fake.logLines.join("")).not.toContain(part);
    }
  });
});

describe("listings", () => {
  it("are pages in the API's form, exact where a name is not UTF-8", async () => {
    const { get } = await agent();
    const response = await get("files", "/p1");
    const listing = listingSchema.parse(await response.json());
    expect(listing).toMatchObject({ mount_id: "m1", path: "/p1" });
    const byPath = new Map(listing.entries.map((entry) => [entry.path, entry]));
    expect(byPath.get("/p1/hello.txt")).toEqual({
      name: "hello.txt", path: "/p1/hello.txt", type: "file", size: 20, mode: "4755", uid: 1000, gid: 1001, modified_at: "2025-10-08T18:24:31.123456789Z",
    });
    expect(byPath.get("/p1/caf%E9")).toMatchObject({ name: "caf\ufffd" });
    expect(byPath.get("/p1/bad")).toMatchObject({ error: { code: "corrupt", detail: "inode 12: checksum" } });
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  });

  it("come in pages that end", async () => {
    const { get } = await agent();
    const first = listingSchema.parse(await (await get("files", "/p1", {}, { limit: "5" })).json());
    expect(first.entries).toHaveLength(5);
    const rest = listingSchema.parse(await (await get("files", "/p1", {}, { limit: "5", cursor: first.next ?? "" })).json());
    expect(rest.entries).toHaveLength(3);
    expect(rest.next).toBeUndefined();
  });

  it.each(["0", "-1", "1.5", "10001", "x", ""])("refuse limit=%s", async (limit) => {
    const { get } = await agent();
    expect(await problemOf(await get("files", "/p1", {}, { limit }))).toMatchObject({ status: 400, code: "invalid_request" });
  });

  it("find a name by any of its forms in the URL", async () => {
    const { app, link, get } = await agent();
    // Its exact path, a raw byte that is not UTF-8, and a literal percent sign.
    for (const path of ["/p1/caf%E9", "/p1/etc/100%2541", "/p1/etc/100%41"]) expect((await get("download", path)).status).toBe(200);
    const url = await link("download", "/p1/caf%E9");
    expect((await app.request(url.replace("caf%25E9", "caf%E9"))).status).toBe(200);
  });

  it("of a file are refused as such", async () => {
    const { get } = await agent();
    expect(await problemOf(await get("files", "/p1/hello.txt"))).toMatchObject({ status: 409, code: "not_a_directory" });
    expect(await problemOf(await get("files", "/p1/none"))).toMatchObject({ status: 404, code: "path_not_found" });
  });
});

it("file-info has extended attributes, times and device numbers", async () => {
  const { get } = await agent();
  const info = fileInfoSchema.parse(await (await get("file-info", "/p1/hello.txt")).json());
  expect(info).toMatchObject({ xattrs: { "user.comment": "aGk=" }, hard_links: 1, accessed_at: "2025-10-08T18:24:31.123456789Z", created_at: null });
  expect(info.device).toBeUndefined();
  expect(fileInfoSchema.parse(await (await get("file-info", "/p1/sda")).json()).device).toEqual({ major: 0, minor: 0 });
});

describe("downloads", () => {
  it("have an exact length, validators, and no way to run in a browser", async () => {
    const { get, events, mount } = await agent();
    const response = await get("download", "/p1/big.bin");
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-length": "3000001", "accept-ranges": "bytes", "content-type": "application/octet-stream",
      "content-disposition": "attachment; filename=big.bin", "last-modified": "Wed, 08 Oct 2025 18:24:31 GMT",
      "content-security-policy": "sandbox; default-src 'none'", "x-content-type-options": "nosniff",
    });
    expect(Buffer.from(await response.arrayBuffer()).equals(patternOf(0, 3_000_001))).toBe(true);
    expect(events).toMatchObject([{ type: "transfer_finished", operation: "download", path: "/p1/big.bin", bytes: 3_000_001, outcome: "complete", user: "tester" }]);
    expect(mount.transfers).toBe(0);
  });

  it.each([
    ["bytes=0-0", "0", "bytes 0-0/20"],
    ["bytes=5-", hello.slice(5), "bytes 5-19/20"],
    ["bytes=-5", hello.slice(15), "bytes 15-19/20"],
    ["bytes=-500", hello, "bytes 0-19/20"],
    ["bytes=10-999", hello.slice(10), "bytes 10-19/20"],
    ["bytes= 3-4", "34", "bytes 3-4/20"],
  ])("answer %s with that part", async (range, text, contentRange) => {
    const { get, events } = await agent();
    const response = await get("download", "/p1/hello.txt", { headers: { Range: range } });
    expect(response.status).toBe(206);
    expect(response.headers.get("content-range")).toBe(contentRange);
    expect(response.headers.get("content-length")).toBe(String(text.length));
    expect(await response.text()).toBe(text);
    expect(events[0]?.bytes).toBe(text.length);
  });

  it.each(["bytes=20-", "bytes=99-100", "bytes=-0"])("answer %s with 416 and the length", async (range) => {
    const { get } = await agent();
    const response = await get("download", "/p1/hello.txt", { headers: { Range: range } });
    expect(response.headers.get("content-range")).toBe("bytes */20");
    expect(await problemOf(response)).toMatchObject({ status: 416, code: "range_not_satisfiable" });
  });

  it.each(["bytes=a-b", "lines=0-1", "bytes", "bytes=1", `bytes=${Array.from({ length: 65 }, (_, index) => `${index}-${index}`).join(",")}`])(
    "ignore the range %s and send everything",
    async (range) => {
      const { get } = await agent();
      const response = await get("download", "/p1/hello.txt", { headers: { Range: range } });
      expect(response.status).toBe(200);
      expect(await response.text()).toBe(hello);
    },
  );

  it("send several ranges as multipart of exactly the announced length", async () => {
    const { get } = await agent();
    const response = await get("download", "/p1/hello.txt", { headers: { Range: "bytes=0-1, 5-7,-2" } });
    expect(response.status).toBe(206);
    const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(response.headers.get("content-type") ?? "")?.[1] ?? "";
    const text = await response.text();
    expect(response.headers.get("content-length")).toBe(String(text.length));
    expect(response.headers.get("content-range")).toBeNull();
    const parts = text.split(`--${boundary}`);
    expect(parts.at(-1)).toBe("--\r\n");
    expect(parts.slice(1, -1).map((part) => part.split("\r\n\r\n")[1])).toEqual(["01\r\n", "567\r\n", "ij\r\n"]);
    expect(parts.slice(1, -1).map((part) => /Content-Range: (.*)\r\n/.exec(part)?.[1])).toEqual(["bytes 0-1/20", "bytes 5-7/20", "bytes 18-19/20"]);
  });

  it("send overlapping ranges beyond the file's size once", async () => {
    const { get } = await agent();
    const response = await get("download", "/p1/hello.txt", { headers: { Range: "bytes=0-,0-,0-" } });
    expect(response.status).toBe(206);
    expect(await response.text()).toBe(hello);
  });

  it("of an empty file are empty, with or without a range", async () => {
    const { get } = await agent();
    for (const headers of [{}, { Range: "bytes=0-" }] as Record<string, string>[]) {
      const response = await get("download", "/p1/empty", { headers });
      expect([response.status, response.headers.get("content-length"), await response.text()]).toEqual([200, "0", ""]);
    }
  });

  it("follow RFC 9110's preconditions", async () => {
    const { get } = await agent();
    const etag = (await get("download", "/p1/hello.txt", { method: "HEAD" })).headers.get("etag") ?? "";
    const modified = "Wed, 08 Oct 2025 18:24:31 GMT";
    const before = "Wed, 08 Oct 2025 18:24:30 GMT";
    const status = async (headers: Record<string, string>) => (await get("download", "/p1/hello.txt", { headers })).status;
    expect(await status({ "If-None-Match": etag })).toBe(304);
    expect(await status({ "If-None-Match": `"a", W/${etag}` })).toBe(304);
    expect(await status({ "If-None-Match": "*" })).toBe(304);
    expect(await status({ "If-None-Match": '"a"', "If-Modified-Since": modified })).toBe(200);
    expect(await status({ "If-Modified-Since": modified })).toBe(304);
    expect(await status({ "If-Modified-Since": before })).toBe(200);
    expect(await status({ "If-Modified-Since": "yesterday" })).toBe(200);
    expect(await status({ "If-Match": etag })).toBe(200);
    expect(await status({ "If-Match": `W/${etag}` })).toBe(412);
    expect(await status({ "If-Match": '"a"' })).toBe(412);
    expect(await status({ "If-Unmodified-Since": before })).toBe(412);
    expect(await status({ Range: "bytes=0-1", "If-Range": etag })).toBe(206);
    expect(await status({ Range: "bytes=0-1", "If-Range": '"a"' })).toBe(200);
    expect(await status({ Range: "bytes=0-1", "If-Range": `W/${etag}` })).toBe(200);
    expect(await status({ Range: "bytes=0-1", "If-Range": modified })).toBe(206);
    expect(await status({ Range: "bytes=0-1", "If-Range": before })).toBe(200);
  });

  it("answer HEAD with the same headers and without reading", async () => {
    const { get, reader, events } = await agent();
    const response = await get("download", "/p1/big.bin", { method: "HEAD", headers: { Range: "bytes=0-1" } });
    expect([response.status, response.headers.get("content-length"), await response.text()]).toEqual([200, "3000001", ""]);
    expect(reader.readBytes).toBe(0);
    expect(events).toEqual([]);
  });

  it("that fail before the first byte answer with a problem document, and are reported", async () => {
    const { get, events, mount } = await agent();
    expect(await problemOf(await get("download", "/p1/torn"))).toMatchObject({ status: 502, code: "io_error" });
    expect(events).toMatchObject([{ outcome: "io_error", bytes: 0 }]);
    expect(mount.transfers).toBe(0);
    expect(await problemOf(await get("download", "/p1/bad"))).toMatchObject({ status: 422, code: "corrupt" });
    expect(await problemOf(await get("download", "/p1/sda"))).toMatchObject({ status: 409, code: "not_a_file" });
  });

  it("stop reading when the client goes away", async () => {
    const { get, reader, events, mount } = await agent();
    const response = await get("download", "/p1/big.bin");
    const body = response.body?.getReader();
    await body?.read();
    await body?.cancel();
    expect(reader.openReads).toBe(0);
    expect(mount.transfers).toBe(0);
    expect(events).toMatchObject([{ outcome: "client_gone" }]);
  });

  it("break off when the mount ends", async () => {
    const { get, endMount, events, reader } = await agent();
    const response = await get("download", "/p1/big.bin");
    const body = response.body?.getReader();
    await body?.read();
    endMount(new Error("unmounted"));
    await expect(body?.read()).rejects.toThrow("transfer broken off");
    expect(events).toHaveLength(1);
    expect(reader.openReads).toBe(0);
  });
});

describe("pages of the web origin", () => {
  it("may read answers and ask for ranges; others may not", async () => {
    const { app, get } = await agent();
    const own = await get("files", "/p1", { headers: { Origin: fakeOrigin } });
    expect(own.headers.get("access-control-allow-origin")).toBe(fakeOrigin);
    expect(own.headers.get("access-control-expose-headers")).toContain("Content-Range");
    const failed = await get("files", "/p1/none", { headers: { Origin: fakeOrigin } });
    expect(failed.headers.get("access-control-allow-origin")).toBe(fakeOrigin);
    const other = await get("files", "/p1", { headers: { Origin: "https://evil.example" } });
    expect(other.headers.get("access-control-allow-origin")).toBeNull();
    expect(other.headers.get("vary")).toBe("Origin");
    const preflight = await app.request("/v1/mounts/m1/download", { method: "OPTIONS", headers: { Origin: fakeOrigin, "Access-Control-Request-Method": "GET" } });
    expect([preflight.status, preflight.headers.get("access-control-allow-headers")]).toEqual([204, expect.stringContaining("Range")]);
  });
});

it("metrics name no path, user or token", async () => {
  const { app, get } = await agent();
  await (await get("download", "/p1/hello.txt")).text();
  await get("download", "/p1/torn");
  await app.request("/v1/mounts/m1/<script>");
  const text = await (await app.request("/metrics")).text();
  expect(text).toContain("pluck_agent_sent_bytes_total 20");
  expect(text).toContain('pluck_agent_transfers_total{operation="download",outcome="complete"} 1');
  expect(text).toContain("pluck_agent_open_mounts 1");
  expect(text).toContain("pluck_agent_nbd_errors_total 1");
  expect(text).not.toMatch(/hello|script|tester|p1/);
  expect(await (await app.request("/healthz")).json()).toEqual({ status: "ok" });
});
