import {
  chmodSync, closeSync, fdatasyncSync, fsyncSync, ftruncateSync, linkSync, mkdirSync, openSync, renameSync, rmdirSync,
  symlinkSync, unlinkSync, writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Random } from "../tools/random.ts";

/** Random changes to a mounted filesystem; some of them are forced to the disk, most are not. */
export class Churn {
  readonly #random: Random;
  readonly #files: string[] = [];
  readonly #folders: string[];
  readonly #reuseFolders: boolean;
  #made = 0;
  #removedFolders = 0;

  /** @param reuseFolders false: once a folder is removed, no other is made, which might take its inode */
  constructor(root: string, random: Random, reuseFolders = true) {
    this.#reuseFolders = reuseFolders;
    this.#random = random;
    this.#folders = [root];
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      try {
        this.#step();
      } catch (error) {
        // A name may be gone, a folder not empty: part of the game.
        if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      }
    }
  }

  /** A file that it made, if it has not been replaced by another since. */
  anyFile(): string | undefined {
    return this.#files.length === 0 ? undefined : this.#random.pick(this.#files);
  }

  /** Forces one file, and with it the transaction it belongs to, to the disk. */
  sync(): void {
    if (this.#files.length === 0) return;
    try {
      const descriptor = openSync(this.#random.pick(this.#files), "r+");
      try {
        writeSync(descriptor, `synced ${this.#made++}`, this.#random.integer(0, 5000));
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }

  #newName(): string {
    return join(this.#random.pick(this.#folders), `${this.#random.pick(["a", "name", "a rather longer name than that"])}-${this.#made++}`);
  }

  #step(): void {
    const random = this.#random;
    const action = random.integer(0, 100);
    if (action < 35 || this.#files.length === 0) this.#create();
    else if (action < 50) this.#write(random.pick(this.#files));
    else if (action < 62) this.#remove();
    else if (action < 72) this.#rename();
    else if (action < 78) this.#makeFolder();
    else if (action < 81) this.#removeFolder();
    else if (action < 86) this.#track(this.#newName(), (path) => linkSync(random.pick(this.#files), path));
    else if (action < 90) symlinkSync("t".repeat(random.integer(1, 120)), this.#newName());
    else if (action < 94) this.#truncate(random.pick(this.#files));
    else if (action < 97) chmodSync(random.pick(this.#files), random.integer(0, 0o1000));
    else this.sync();
  }

  #track(path: string, make: (path: string) => void): void {
    make(path);
    this.#files.push(path);
  }

  #create(): void {
    this.#track(this.#newName(), (path) => {
      const descriptor = openSync(path, "w");
      try {
        const size = this.#random.pick([0, 10, 100, 3000, 5000, 40_000]);
        writeSync(descriptor, this.#random.bytes(size));
        // Without this only delayed allocation would be seen: sizes without blocks.
        if (this.#random.integer(0, 4) === 0) fdatasyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    });
  }

  #write(path: string): void {
    const descriptor = openSync(path, "r+");
    try {
      writeSync(descriptor, this.#random.bytes(this.#random.integer(1, 9000)), 0, null, this.#random.integer(0, 60_000));
      if (this.#random.integer(0, 3) === 0) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  #truncate(path: string): void {
    const descriptor = openSync(path, "r+");
    try {
      ftruncateSync(descriptor, this.#random.integer(0, 30_000));
      if (this.#random.integer(0, 3) === 0) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  #remove(): void {
    const index = this.#random.integer(0, this.#files.length);
    const [path] = this.#files.splice(index, 1);
    unlinkSync(path!);
  }

  #rename(): void {
    const index = this.#random.integer(0, this.#files.length);
    const target = this.#random.integer(0, 4) === 0 ? this.#random.pick(this.#files) : this.#newName();
    renameSync(this.#files[index]!, target);
    this.#files[index] = target;
  }

  #makeFolder(): void {
    if (!this.#reuseFolders && this.#removedFolders > 0) return;
    const path = this.#newName();
    mkdirSync(path);
    this.#folders.push(path);
  }

  #removeFolder(): void {
    if (this.#folders.length < 2) return;
    const index = this.#random.integer(1, this.#folders.length);
    rmdirSync(this.#folders[index]!);
    this.#folders.splice(index, 1);
    this.#removedFolders++;
  }
}
