import { describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { recognise } from "../../agent/filesystems/recognise.ts";
import { readLuksHeader, readLuksIdentity } from "../../agent/volumes/luks/luks.ts";
import { openImageSource } from "../tools/image-source.ts";
import { guestImages, guestLacks, guestTestTimeoutMs } from "../volumes/guest.ts";

// Only a kernel with device-mapper can format these: a Debian kernel in the guest does. What they hold is refused by
// name, and never taken for damage or for nothing.

const lacks = guestLacks();

function images() {
  return guestImages("integrity", [{ name: "luks", sizeMb: 32 }, { name: "alone", sizeMb: 8 }], `
set -e
export DM_DISABLE_UDEV=1
modprobe dm-crypt; modprobe dm-integrity
mkdir -p /run/cryptsetup
printf 'correct horse' > /tmp/key
cryptsetup -q luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file /tmp/key --integrity hmac-sha256 --integrity-no-wipe $disk0
say luks $(cryptsetup luksUUID $disk0)
integritysetup -q format --integrity crc32c --no-wipe $disk1
`);
}

describe.skipIf(lacks !== undefined)(`volumes with integrity tags${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  test("LUKS2 with tags is refused by name, and shows its UUID", async () => {
    const { disks, said } = await images();
    const source = cached(openImageSource(disks.get("luks")!));
    expect((await recognise(source))?.type).toBe("crypto_LUKS");
    expect((await readLuksIdentity(source)).uuid).toBe(said.get("luks"));
    await expect(readLuksHeader(source)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining('LUKS2 with integrity "hmac(sha256)" (dm-integrity)') });
  });

  test("a device of dm-integrity alone is named as such", async () => {
    const { disks } = await images();
    expect(await recognise(cached(openImageSource(disks.get("alone")!)))).toMatchObject({ type: "DM_integrity", kind: "container" });
  });
});
