import { describe, expect, test } from "vitest";
import { toLuks2Header } from "./luks2-header.ts";
import { parseLuks2Metadata } from "./luks2-metadata.ts";

const salt = Buffer.alloc(32, 1).toString("base64");
const headerBytes = 16_384;
const deviceBytes = 64 * 1024 * 1024;
const copy = { offsetBytes: 0, headerBytes, sequence: 1n, uuid: "u", label: undefined, metadata: "" };

function metadata() {
  return {
    keyslots: {
      "0": {
        type: "luks2",
        key_size: 64,
        af: { type: "luks1", stripes: 4000, hash: "sha256" },
        area: { type: "raw", offset: "32768", size: "258048", encryption: "aes-xts-plain64", key_size: 64 },
        kdf: { type: "pbkdf2", hash: "sha256", iterations: 1000, salt } as Record<string, unknown>,
      },
    } as Record<string, Record<string, unknown>>,
    tokens: {},
    segments: { "0": { type: "crypt", offset: "16777216", size: "dynamic", iv_tweak: "0", encryption: "aes-xts-plain64", sector_size: 512 } as Record<string, unknown> } as Record<string, Record<string, unknown>>,
    digests: { "0": { type: "pbkdf2", keyslots: ["0"], segments: ["0"], hash: "sha256", iterations: 1000, salt, digest: salt } as Record<string, unknown> },
    config: { json_size: "12288", keyslots_size: "16744448" } as Record<string, unknown>,
  };
}
type Metadata = ReturnType<typeof metadata>;

const read = (change: (value: Metadata) => void) => {
  const value = metadata();
  change(value);
  return toLuks2Header(copy, parseLuks2Metadata(JSON.stringify(value)), deviceBytes);
};
const slot = (value: Metadata) => value.keyslots["0"]!;
const segment = (value: Metadata) => value.segments["0"]!;

describe("LUKS2 metadata", () => {
  test("takes what cryptsetup writes", () => {
    expect(read(() => undefined)).toMatchObject({ offsetBytes: 16_777_216, sizeBytes: deviceBytes - 16_777_216, sectorBytes: 512, refusedKeyslots: [] });
  });

  test.each([
    ["a size of its own", (value: Metadata) => (segment(value)["size"] = "1048576"), { sizeBytes: 1_048_576 }],
    ["an IV offset", (value: Metadata) => (segment(value)["iv_tweak"] = "18446744073709551615"), { ivTweak: 2n ** 64n - 1n }],
    ["keys of a future version beside known ones", (value: Metadata) => (segment(value)["new_thing"] = 1), { sectorBytes: 512 }],
  ])("knows %s", (_, change, expected) => {
    expect(read(change)).toMatchObject(expected);
  });

  test.each<[string, string, (value: Metadata) => unknown]>([
    ["data beyond the device", "corrupt", (value) => (segment(value)["offset"] = String(deviceBytes))],
    ["data longer than the device", "corrupt", (value) => (segment(value)["size"] = String(deviceBytes))],
    ["data inside the keyslots", "corrupt", (value) => (segment(value)["offset"] = "1048576")],
    ["no whole number of sectors", "corrupt", (value) => (segment(value)["size"] = "1000")],
    ["a number that is none", "corrupt", (value) => (segment(value)["offset"] = "-1")],
    ["an offset of 20 digits", "corrupt", (value) => (segment(value)["offset"] = "99999999999999999999")],
    ["a sector size of 0", "corrupt", (value) => (segment(value)["sector_size"] = 0)],
    ["a sector size of 8192", "corrupt", (value) => (segment(value)["sector_size"] = 8192)],
    ["an IV offset of 65 bits", "corrupt", (value) => (segment(value)["iv_tweak"] = "18446744073709551616")],
    ["no digest", "corrupt", (value) => (value.digests["0"]["segments"] = [])],
    ["a digest of no bytes", "corrupt", (value) => (value.digests["0"]["digest"] = "")],
    ["a digest of 0 iterations", "corrupt", (value) => (value.digests["0"]["iterations"] = 0)],
    ["a digest without end", "unsupported", (value) => (value.digests["0"]["iterations"] = 2_000_000_000)],
    ["detached data", "unsupported", (value) => (segment(value)["offset"] = "0")],
    ["integrity", "unsupported", (value) => (segment(value)["integrity"] = { type: "hmac(sha256)" })],
    ["a linear segment", "unsupported", (value) => (segment(value)["type"] = "linear")],
    ["a hardware-encrypted segment", "unsupported", (value) => (segment(value)["type"] = "hw-opal")],
    ["two segments", "unsupported", (value) => (value.segments["1"] = { ...segment(value) })],
    ["a requirement", "unsupported", (value) => (value.config["requirements"] = { mandatory: ["future-thing"] })],
    ["a reencryption", "unsupported", (value) => (value.config["requirements"] = { mandatory: ["online-reencrypt-v2"] })],
    ["a reencryption keyslot", "unsupported", (value) => (value.keyslots["1"] = { type: "reencrypt" })],
  ])("refuses %s as %s", (_, code, change) => {
    expect(() => read((value) => void change(value))).toThrow(expect.objectContaining({ code }));
  });

  test.each<[string, string, (value: Metadata) => unknown]>([
    ["another kind of keyslot", "unsupported", (value) => (value.keyslots["0"] = { type: "tang" })],
    ["another key derivation", "unsupported", (value) => (slot(value)["kdf"] = { type: "scrypt", salt })],
    ["pbkdf2 without end", "unsupported", (value) => (slot(value)["kdf"] = { type: "pbkdf2", hash: "sha256", iterations: 2_147_483_647, salt })],
    ["argon2 with 4 TiB", "unsupported", (value) => (slot(value)["kdf"] = { type: "argon2id", time: 1, memory: 2_147_483_647, cpus: 1, salt })],
    ["argon2 without end", "unsupported", (value) => (slot(value)["kdf"] = { type: "argon2id", time: 2_147_483_647, memory: 1024, cpus: 1, salt })],
    ["argon2 with a thousand lanes", "unsupported", (value) => (slot(value)["kdf"] = { type: "argon2i", time: 1, memory: 65_536, cpus: 1000, salt })],
    ["argon2 with too little memory", "corrupt", (value) => (slot(value)["kdf"] = { type: "argon2i", time: 1, memory: 8, cpus: 4, salt })],
    ["argon2 without salt", "corrupt", (value) => (slot(value)["kdf"] = { type: "argon2i", time: 1, memory: 1024, cpus: 1, salt: "" })],
    ["another hash", "unsupported", (value) => (slot(value)["kdf"] = { type: "pbkdf2", hash: "whirlpool", iterations: 1, salt })],
    ["an area in the header", "corrupt", (value) => (slot(value)["area"] = { type: "raw", offset: "4096", size: "258048", encryption: "aes-xts-plain64", key_size: 64 })],
    ["an area in the data", "corrupt", (value) => (slot(value)["area"] = { type: "raw", offset: "16777216", size: "258048", encryption: "aes-xts-plain64", key_size: 64 })],
    ["an area too small for its key", "corrupt", (value) => (slot(value)["area"] = { type: "raw", offset: "32768", size: "4096", encryption: "aes-xts-plain64", key_size: 64 })],
  ])("passes over a keyslot with %s", (_, code, change) => {
    const header = read((value) => void change(value));
    expect(header.keyslots).toEqual([]);
    expect(header.refusedKeyslots).toEqual([expect.objectContaining({ code })]);
  });

  test.each(["", "{", "[]", "null", "0", '{"keyslots":{}}', `${"[".repeat(200_000)}`, `{"keyslots":${'{"0":'.repeat(100_000)}`])("refuses what is no metadata", (text) => {
    expect(() => parseLuks2Metadata(text)).toThrow(expect.objectContaining({ code: "corrupt" }));
  });
});
