import { rm, writeFile } from "node:fs/promises";
import { execa } from "execa";

const maxAttempts = 100;

/**
 * Encrypts a raw image as LUKS1 by QEMU's own driver, which needs no device-mapper.
 *
 * QEMU measures how many rounds of key derivation this processor does; where CPU time is counted in
 * ticks, it may have used none, and gives up. Then once more.
 */
export async function makeLuksImage(plain: string, locked: string, passphrase: string): Promise<void> {
  const key = `${locked}.key`;
  await writeFile(key, passphrase);
  try {
    for (let attempt = 1; ; attempt += 1) {
      const { failed, stderr } = await execa("qemu-img", ["convert", "-f", "raw", "-O", "luks", "--object", `secret,id=key,file=${key}`, "-o", "key-secret=key,iter-time=10", plain, locked], { reject: false });
      if (!failed) return;
      if (attempt === maxAttempts || !stderr.includes("accurate CPU usage")) throw new Error(`qemu-img: ${stderr}`);
    }
  } finally {
    await rm(key);
  }
}
