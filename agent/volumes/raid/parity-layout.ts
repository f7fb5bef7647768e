// Where data and parity lie in RAID 4, 5 and 6. Source: the layouts of the Linux md driver (drivers/md/raid5.c,
// include/uapi/linux/raid/md_p.h); device-mapper's raid target uses the same ones.
//
// In each stripe one member holds P (the exclusive or of the data) and, in RAID 6, another holds Q (the sum of the
// data times powers of 2). "symmetric" begins the data after the parity and wraps around, "asymmetric" goes on
// from the first member. In the `ddf` layouts Q counts members from the first one on, in the others data from Q on.

export interface StripeRoles {
  readonly p: number;
  /** -1 where there is no Q. */
  readonly q: number;
  /** The member that holds the n-th data chunk. */
  data(index: number): number;
}

export interface ParityLayout {
  readonly name: string;
  /** Members of each stripe that hold parity. */
  readonly parityCount: 1 | 2;
  /** In Q the exponent of a data member is its own number; else its place in the row of data after Q. */
  readonly ddf: boolean;
  roles(stripe: number, members: number): StripeRoles;
}

function skipping(p: number): StripeRoles["data"] {
  return (index) => (index >= p ? index + 1 : index);
}
function after(p: number, members: number): StripeRoles["data"] {
  return (index) => (p + 1 + index) % members;
}
/** P and Q side by side, Q after P, the data around them. */
function around(p: number, members: number): StripeRoles {
  if (p === members - 1) return { p, q: 0, data: (index) => index + 1 };
  return { p, q: p + 1, data: (index) => (index >= p ? index + 2 : index) };
}
function afterBoth(p: number, members: number): StripeRoles {
  return { p, q: (p + 1) % members, data: (index) => (p + 2 + index) % members };
}

type Roles = ParityLayout["roles"];
const leftAsymmetric: Roles = (stripe, n) => ({ p: n - 1 - (stripe % n), q: -1, data: skipping(n - 1 - (stripe % n)) });
const rightAsymmetric: Roles = (stripe, n) => ({ p: stripe % n, q: -1, data: skipping(stripe % n) });
const leftSymmetric: Roles = (stripe, n) => ({ p: n - 1 - (stripe % n), q: -1, data: after(n - 1 - (stripe % n), n) });
const rightSymmetric: Roles = (stripe, n) => ({ p: stripe % n, q: -1, data: after(stripe % n, n) });
const parityFirst: Roles = () => ({ p: 0, q: -1, data: (index) => index + 1 });
const parityLast: Roles = (_, n) => ({ p: n - 1, q: -1, data: (index) => index });

/** A RAID 5 layout over all members but the last, which holds Q. */
function withQLast(roles: Roles): Roles {
  return (stripe, n) => ({ ...roles(stripe, n - 1), q: n - 1 });
}

function layout(name: string, parityCount: 1 | 2, roles: Roles, ddf = false): ParityLayout {
  return { name, parityCount, ddf, roles };
}

/** By the numbers of md, for RAID 5. */
export const raid5Layouts: ReadonlyMap<number, ParityLayout> = new Map([
  [0, layout("left-asymmetric", 1, leftAsymmetric)],
  [1, layout("right-asymmetric", 1, rightAsymmetric)],
  [2, layout("left-symmetric", 1, leftSymmetric)],
  [3, layout("right-symmetric", 1, rightSymmetric)],
  [4, layout("parity-first", 1, parityFirst)],
  [5, layout("parity-last", 1, parityLast)],
]);

/** RAID 4 of md: the last member holds the parity. */
export const raid4Layout = layout("raid4", 1, parityLast);

/** By the numbers of md, for RAID 6. */
export const raid6Layouts: ReadonlyMap<number, ParityLayout> = new Map([
  [0, layout("left-asymmetric", 2, (stripe, n) => around(n - 1 - (stripe % n), n))],
  [1, layout("right-asymmetric", 2, (stripe, n) => around(stripe % n, n))],
  [2, layout("left-symmetric", 2, (stripe, n) => afterBoth(n - 1 - (stripe % n), n))],
  [3, layout("right-symmetric", 2, (stripe, n) => afterBoth(stripe % n, n))],
  [4, layout("parity-first", 2, () => ({ p: 0, q: 1, data: (index) => index + 2 }))],
  [5, layout("parity-last", 2, (_, n) => ({ p: n - 2, q: n - 1, data: (index) => index }))],
  [8, layout("ddf-zero-restart", 2, (stripe, n) => around(stripe % n, n), true)],
  [9, layout("ddf-N-restart", 2, (stripe, n) => around(n - 1 - ((stripe + 1) % n), n), true)],
  [10, layout("ddf-N-continue", 2, (stripe, n) => {
    const p = n - 1 - (stripe % n);
    return { p, q: (p + n - 1) % n, data: after(p, n) };
  }, true)],
  [16, layout("left-asymmetric-6", 2, withQLast(leftAsymmetric))],
  [17, layout("right-asymmetric-6", 2, withQLast(rightAsymmetric))],
  [18, layout("left-symmetric-6", 2, withQLast(leftSymmetric))],
  [19, layout("right-symmetric-6", 2, withQLast(rightSymmetric))],
  [20, layout("parity-first-6", 2, withQLast(parityFirst))],
]);
