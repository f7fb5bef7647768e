import { describe, expect, it } from "vitest";
import { attributeText, fromBase64, modeLetters, parsePosixAcl } from "./attributes.ts";

describe("attributes for people", () => {
  it.each([["0644", "rw-r--r--"], ["4755", "rwsr-xr-x"], ["2644", "rw-r-Sr--"], ["1777", "rwxrwxrwt"], ["1770", "rwxrwx--T"], ["0000", "---------"]])("mode %s is %s", (mode, letters) => {
    expect(modeLetters(mode)).toBe(letters);
  });

  it("tells text from bytes", () => {
    expect(attributeText(fromBase64("aHR0cHM6Ly9leGFtcGxlLm5ldC8="))).toBe("https://example.net/");
    expect(attributeText(fromBase64("eAA="))).toBe("x");
    expect(attributeText(new Uint8Array([1, 0, 0, 2]))).toBeUndefined();
    expect(attributeText(new Uint8Array([0xff, 0xfe]))).toBeUndefined();
    expect(attributeText(new TextEncoder().encode("\u202etxt"))).toBeUndefined();
  });

  it("reads a POSIX ACL as setfacl wrote it", () => {
    // setfacl -m u:106:r,m::r file; getfattr -n system.posix_acl_access -e base64 file
    const acl = fromBase64("AgAAAAEABgD/////AgAEAGoAAAAEAAQA/////xAABAD/////IAAEAP////8=");
    expect(parsePosixAcl(acl)).toEqual([
      { who: "owner", id: undefined, permissions: "rw-" },
      { who: "user", id: 106, permissions: "r--" },
      { who: "group-owner", id: undefined, permissions: "r--" },
      { who: "mask", id: undefined, permissions: "r--" },
      { who: "other", id: undefined, permissions: "r--" },
    ]);
    expect(parsePosixAcl(acl.subarray(0, 10))).toBeUndefined();
    expect(parsePosixAcl(new Uint8Array([1, 0, 0, 0]))).toBeUndefined();
  });
});
