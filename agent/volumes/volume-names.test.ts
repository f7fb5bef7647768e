import { expect, it } from "vitest";
import { memorySource } from "../blocks/memory-source.ts";
import { scanVolumes } from "./scan.ts";
import { VolumeNames } from "./volume-names.ts";

it("gives plain names, doubled dashes to the second of two that would be one, and numbers when nothing else is left", () => {
  const names = new VolumeNames();
  expect(names.take("a-b-c", "a--b-c", "a--b-c-123456")).toBe("a-b-c");
  expect(names.take("a-b-c", "a-b--c", "a-b--c-123456")).toBe("a-b--c");
  expect(names.take("a-b-c", "a-b--c", "a-b--c-654321")).toBe("a-b--c-654321");
  expect(names.take("md-x")).toBe("md-x");
  expect(names.take("md-x")).toBe("md-x~2");
  expect(names.take("md-x")).toBe("md-x~3");
});

it("asks for no other disk where nothing on this one lacks a member", async () => {
  let asked = 0;
  const siblings = async () => {
    asked += 1;
    return [];
  };
  const volumes = await scanVolumes(memorySource(new Uint8Array(1024 * 1024)), { siblings });
  expect(volumes.map((volume) => volume.name)).toEqual(["disk"]);
  expect(asked).toBe(0);
});
