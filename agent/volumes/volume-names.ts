/** Gives each volume of a disk a name of its own. Partitions ("p1") and "disk" never meet the names made here. */
export class VolumeNames {
  readonly #taken = new Set<string>();

  /** The first candidate that is free; when none is, the last one with a number. */
  take(...candidates: [string, ...string[]]): string {
    for (const name of candidates) {
      if (this.#taken.has(name)) continue;
      this.#taken.add(name);
      return name;
    }
    const last = candidates.at(-1) ?? candidates[0];
    let number = 2;
    while (this.#taken.has(`${last}~${number}`)) number += 1;
    this.#taken.add(`${last}~${number}`);
    return `${last}~${number}`;
  }
}
