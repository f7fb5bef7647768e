import type { Entry } from "../../api/types.ts";

const shapes: Readonly<Record<Entry["type"], string>> = {
  directory: "M1 3h5l1.5 2H15v8H1z",
  file: "M3 1h7l3 3v11H3zM10 1v3h3",
  symlink: "M3 13c0-5 3-7 8-7M8 3l3 3-3 3",
  other: "M8 2l6 6-6 6-6-6z",
};

export function Icon({ type }: { type: Entry["type"] }) {
  return <svg class={`icon icon-${type}`} viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><path d={shapes[type]} /></svg>;
}
