// What a header may ask for. A header is bytes from a disk: without bounds it could have the agent compute for years
// or take all of its memory. Each bound lies well above what cryptsetup writes.

/** cryptsetup aims at 2 s of a fast processor: 2 to 10 million rounds; this is 5 to 50 s of one. */
export const maxPbkdf2Iterations = 50_000_000;
/** cryptsetup asks for 1 GiB at most unless told otherwise. */
export const maxArgon2MemoryKib = 2 * 1024 * 1024;
/** Memory times passes: 32 GiB written, about as many seconds; cryptsetup's usual is 4 to 12 passes over 1 GiB. */
export const maxArgon2WorkKib = 32 * 1024 * 1024;
/** cryptsetup's own limit is 4. */
export const maxArgon2Lanes = 16;
/** All keyslots of one header together: after this no further one is begun. */
export const maxUnlockMs = 120_000;
/** LUKS always writes 4000. */
export const maxStripes = 8000;
/** LUKS knows volume keys up to 4096 bits. */
export const maxKeyBytes = 512;
/** LUKS1 has 8, cryptsetup's LUKS2 32. */
export const maxKeyslots = 32;
