// The text format of LVM2's metadata and configuration. Source: lvm.conf(5) and libdm's config parser.
//
//   section { ... }      key = 12      key = "text with \" and \\"      key = [1, "two"]      # comment
import { corrupt } from "../../blocks/disk-error.ts";

export type ConfigValue = number | string | readonly (number | string)[];
export interface Section {
  readonly values: ReadonlyMap<string, ConfigValue>;
  readonly sections: ReadonlyMap<string, Section>;
}

/** Metadata has sections in four levels. */
const MAX_DEPTH = 16;

/** Throws "corrupt" with the place in the text where it departs from the format. */
export function parseMetadataText(text: string): Section {
  const parser = new Parser(text);
  return parser.section(0);
}

// Two steps: one pattern for both would look for a token inside a comment where none follows it.
const space = /(?:[\s\0]+|#[^\n]*)*/y;
const token = /([A-Za-z0-9_.+-][A-Za-z0-9_.+/-]*)|("[^"\\]*(?:\\[^][^"\\]*)*")|([={}[\],])/y;

class Parser {
  readonly #text: string;
  #at = 0;
  #next: string | undefined;

  constructor(text: string) {
    this.#text = text;
    this.#advance();
  }

  section(depth: number): Section {
    if (depth > MAX_DEPTH) throw this.#wrong(`sections nested deeper than ${MAX_DEPTH}`);
    const values = new Map<string, ConfigValue>();
    const sections = new Map<string, Section>();
    while (this.#next !== undefined && this.#next !== "}") {
      const key = this.#take();
      if (!/^[A-Za-z0-9_.+-]/.test(key)) throw this.#wrong(`"${key}", expected a name`);
      if (this.#next === "{") {
        this.#take();
        sections.set(key, this.section(depth + 1));
        if (this.#take() !== "}") throw this.#wrong("a section without its end");
      } else {
        const sign = this.#take();
        if (sign !== "=") throw this.#wrong(`"${sign}", expected = or {`);
        values.set(key, this.#value());
      }
    }
    if (depth === 0 && this.#next !== undefined) throw this.#wrong(`"${this.#next}", expected the end`);
    return { values, sections };
  }

  #value(): ConfigValue {
    const first = this.#take();
    if (first !== "[") return this.#scalar(first);
    const items: (number | string)[] = [];
    for (let item = this.#take(); item !== "]"; ) {
      items.push(this.#scalar(item));
      const sign = this.#take();
      if (sign !== "," && sign !== "]") throw this.#wrong(`"${sign}", expected , or ]`);
      item = sign === "]" ? sign : this.#take();
    }
    return items;
  }

  #scalar(value: string): number | string {
    if (value.startsWith('"')) return value.slice(1, -1).replace(/\\([^])/g, "$1");
    if (!/^[+-]?\d+(?:\.\d+)?$/.test(value)) throw this.#wrong(`"${value}", expected a number or a string`);
    return Number(value);
  }

  #take(): string {
    const value = this.#next;
    if (value === undefined) throw this.#wrong("it ends in the middle");
    this.#advance();
    return value;
  }

  #advance(): void {
    space.lastIndex = this.#at;
    space.exec(this.#text);
    this.#at = space.lastIndex;
    if (this.#at === this.#text.length) {
      this.#next = undefined;
      return;
    }
    token.lastIndex = this.#at;
    const match = token.exec(this.#text);
    if (match === null) throw this.#wrong("a character that has no place there");
    this.#at = token.lastIndex;
    this.#next = match[1] ?? match[2] ?? match[3];
  }

  #wrong(found: string): Error {
    return corrupt("LVM2 metadata text", undefined, `${found}, before character ${this.#at}`);
  }
}
