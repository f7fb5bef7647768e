import type { ListedNode, ListPage } from "./disk-reader.ts";
import { type Attributed, type PackedNodes, packNodes, type Packing, unpackNodes } from "./pack-nodes.ts";

/** A page of a listing as it crosses between threads. */
export interface PackedPage {
  readonly path: ListPage["path"];
  readonly nodes: PackedNodes<Rest>;
  readonly next?: string;
}

type Rest =
  /** Replaces the whole entry: one whose attributes are not all there. */
  | { readonly whole: ListedNode }
  | { readonly more: Partial<ListedNode> };

type Row = Attributed & { readonly node: ListedNode };

const noTime = { seconds: 0, nanoseconds: 0, digits: 0 };

const packing: Packing<Row, Rest> = {
  extra: () => [0, 0, 0],
  rest: ({ node }) => {
    const { size, mode, uid, gid, modifiedAt, symlinkTarget, error } = node;
    if (size === undefined || mode === undefined || uid === undefined || gid === undefined || modifiedAt === undefined) return { whole: node };
    if (symlinkTarget === undefined && error === undefined && typeof size === "number") return undefined;
    return { more: { ...(symlinkTarget === undefined ? {} : { symlinkTarget }), ...(error === undefined ? {} : { error }), ...(typeof size === "bigint" ? { size } : {}) } };
  },
  restore: (base, _, rest) => ({ ...base, node: rest === undefined ? base : "whole" in rest ? rest.whole : { ...base, ...rest.more } }),
};

export function packPage(page: ListPage): PackedPage {
  const rows = page.nodes.map((node): Row => {
    const { path, type, size = 0, mode = 0, uid = 0, gid = 0, modifiedAt = noTime } = node;
    return { path, type, size, mode, uid, gid, modifiedAt, node };
  });
  return { path: page.path, nodes: packNodes(rows, packing), ...(page.next === undefined ? {} : { next: page.next }) };
}

export function unpackPage({ path, nodes, next }: PackedPage): ListPage {
  return { path, nodes: unpackNodes(nodes, packing).map((row) => row.node), ...(next === undefined ? {} : { next }) };
}
