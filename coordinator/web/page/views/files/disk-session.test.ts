import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, unreachable } from "../../api/problem.ts";
import { DiskSession } from "./disk-session.ts";

let opened: number;

beforeEach(() => {
  opened = 0;
  vi.stubGlobal("fetch", async (): Promise<Response> => {
    opened += 1;
    return await Promise.resolve(Response.json({ mount_id: `mnt-${opened}`, agent_id: "a", status: "mounted" }));
  });
});
afterEach(() => { vi.unstubAllGlobals(); });

const failing = (code: string, times: number) => {
  const tried: string[] = [];
  return {
    tried,
    action: async (mountId: string): Promise<string> => {
      tried.push(mountId);
      if (tried.length <= times) throw new ApiError(code, "", 0);
      return await Promise.resolve(mountId);
    },
  };
};

describe("an open disk", () => {
  it("is opened once, however many want something of it", async () => {
    const disk = new DiskSession("b", 0);
    expect(await Promise.all([disk.use(async (id) => await Promise.resolve(id)), disk.use(async (id) => await Promise.resolve(id)), disk.open()])).toMatchObject(["mnt-1", "mnt-1", { mount_id: "mnt-1" }]);
    expect(opened).toBe(1);
  });

  it.each(["mount_not_found", unreachable])("is opened again when %s tells that it may have ended, and the call repeated", async (code) => {
    const { action, tried } = failing(code, 1);
    expect(await new DiskSession("b", 0).use(action)).toBe("mnt-2");
    expect(tried).toEqual(["mnt-1", "mnt-2"]);
  });

  it("is opened again once, not for ever", async () => {
    const { action, tried } = failing("mount_not_found", 9);
    await expect(new DiskSession("b", 0).use(action)).rejects.toMatchObject({ code: "mount_not_found" });
    expect(tried).toHaveLength(2);
  });

  it("stays open when something in it is wrong", async () => {
    const { action, tried } = failing("corrupt", 1);
    await expect(new DiskSession("b", 0).use(action)).rejects.toMatchObject({ code: "corrupt" });
    expect([tried, opened]).toEqual([["mnt-1"], 1]);
  });
});
