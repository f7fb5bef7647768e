import type { DiskError } from "../../blocks/disk-error.ts";

/** What both versions of LUKS say of an encrypted volume, checked against the size of its device. */
export interface LuksHeader {
  readonly version: 1 | 2;
  /** As blkid prints it; undefined when it is empty or not text. */
  readonly uuid: string | undefined;
  readonly label: string | undefined;
  /** The encrypted data in its device, in bytes. A whole number of `sectorBytes`. */
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  /** As the format writes it: "aes-xts-plain64". */
  readonly encryption: string;
  /** Bytes that are encrypted together: 512 to 4096. */
  readonly sectorBytes: number;
  /** Added to the number of each sector (counted in 512 bytes), modulo 2^64. */
  readonly ivTweak: bigint;
  /** In the order in which they are tried. */
  readonly keyslots: readonly Keyslot[];
  /** Keyslots that can't be tried, and why; what doesn't open by another one is refused by the first of these. */
  readonly refusedKeyslots: readonly DiskError[];
}

/** Where a wrapped copy of the volume's key lies, and how a passphrase unwraps it. */
export interface Keyslot {
  /** "LUKS2 keyslot 3": for errors. */
  readonly name: string;
  readonly areaOffsetBytes: number;
  readonly areaSizeBytes: number;
  readonly areaEncryption: string;
  /** Bytes of the key that encrypts the area. */
  readonly areaKeyBytes: number;
  /** Bytes of the volume's key. */
  readonly volumeKeyBytes: number;
  readonly stripes: number;
  /** Hash of the anti-forensic splitter. */
  readonly splitterHash: string;
  readonly derivation: KeyDerivation;
  /** Tells the volume's key from any other. */
  readonly digest: KeyDigest;
}

export type KeyDerivation =
  | { readonly type: "pbkdf2"; readonly hash: string; readonly iterations: number; readonly salt: Uint8Array }
  | {
      readonly type: "argon2i" | "argon2id";
      readonly passes: number;
      readonly memoryKib: number;
      readonly lanes: number;
      readonly salt: Uint8Array;
    };

export interface KeyDigest {
  readonly hash: string;
  readonly iterations: number;
  readonly salt: Uint8Array;
  readonly digest: Uint8Array;
}
