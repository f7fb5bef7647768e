/** Keeps the last `capacity` values asked for. Small and synchronous: a Map remembers insertion order. */
export class NodeCache<Value> {
  readonly #capacity: number;
  readonly #values = new Map<number, Value>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(key: number): Value | undefined {
    const value = this.#values.get(key);
    if (value !== undefined && this.#values.size > this.#capacity / 2) {
      this.#values.delete(key);
      this.#values.set(key, value);
    }
    return value;
  }

  set(key: number, value: Value): void {
    if (this.#values.size >= this.#capacity) this.#values.delete(this.#values.keys().next().value!);
    this.#values.set(key, value);
  }

  clear(): void {
    this.#values.clear();
  }
}
