import { decodeProtectedHeader, errors, importJWK, jwtVerify, SignJWT, createLocalJWKSet, type CryptoKey, type JSONWebKeySet, type JWK } from "jose";
import { nanoid } from "nanoid";
import { PluckError } from "./errors.ts";
import { isWithin, parseGuestPath } from "./guest-path.ts";

/**
 * Signed links: short-lived EdDSA JWTs. The coordinator signs, the agent verifies with public keys
 * only, so a lost agent can forge nothing.
 *
 * | Claim | Meaning |
 * |---|---|
 * | iss | "pluck" |
 * | aud | the agent's id |
 * | sub | the mount's id |
 * | op  | "browse", "download" or "archive" |
 * | path| the path inside the mount; for browse everything below it too |
 * | fmt | archive only: the format |
 * | raw | download only: true for the bytes of a volume as the disk holds them, deleted files included |
 * | usr | who asked for it, for the audit trail |
 * | exp, iat, jti | life and id |
 */
export const linkOperations = ["browse", "download", "archive"] as const;
export type LinkOperation = (typeof linkOperations)[number];

export const archiveFormats = ["zip", "tar", "tar.gz", "tar.zst"] as const;
export type ArchiveFormat = (typeof archiveFormats)[number];

export const defaultLinkLifeS = 300;
export const maxLinkLifeS = 7 * 24 * 3600;

export interface LinkClaims {
  readonly agentId: string;
  readonly mountId: string;
  readonly operation: LinkOperation;
  readonly path: string;
  readonly format?: ArchiveFormat;
  /** The path is a volume, and its bytes are meant. */
  readonly raw?: boolean;
  /** The API token's name on whose behalf the link was made. */
  readonly user: string;
}

export interface VerifiedLink extends LinkClaims {
  readonly linkId: string;
  readonly expiresAt: Date;
}

export interface LinkSigner {
  readonly keyId: string;
  readonly privateKey: CryptoKey;
}

/** @param privateJwk an Ed25519 private JWK with `kid` */
export async function openLinkSigner(privateJwk: JWK): Promise<LinkSigner> {
  const key = await importJWK(privateJwk, "EdDSA");
  if (key instanceof Uint8Array || privateJwk.kid === undefined) throw new TypeError("the signing key must be an Ed25519 JWK with a kid");
  return { keyId: privateJwk.kid, privateKey: key };
}

/** @param lifeS seconds from now, 1 to maxLinkLifeS */
export async function signLink(
  signer: LinkSigner,
  claims: LinkClaims,
  lifeS: number,
  now: Date = new Date(),
): Promise<{ token: string; linkId: string; expiresAt: Date }> {
  const issuedAtS = Math.floor(now.getTime() / 1000);
  const linkId = nanoid();
  const token = await new SignJWT({
    op: claims.operation,
    path: claims.path,
    usr: claims.user,
    ...(claims.format === undefined ? {} : { fmt: claims.format }),
    ...(claims.raw === true ? { raw: true } : {}),
  })
    .setProtectedHeader({ alg: "EdDSA", kid: signer.keyId, typ: "pluck-link+jwt" })
    .setIssuer("pluck")
    .setAudience(claims.agentId)
    .setSubject(claims.mountId)
    .setIssuedAt(issuedAtS)
    .setExpirationTime(issuedAtS + lifeS)
    .setJti(linkId)
    .sign(signer.privateKey);
  return { token, linkId, expiresAt: new Date((issuedAtS + lifeS) * 1000) };
}

export interface LinkExpectation {
  readonly agentId: string;
  readonly mountId: string;
  readonly operation: LinkOperation;
  /** The path asked for, as the query gives it. */
  readonly path: string;
  readonly format?: ArchiveFormat;
  readonly raw?: boolean;
}

/**
 * Verifies a token against what is asked with it.
 * @throws PluckError link_expired, or link_invalid for everything else that is wrong with it
 */
export async function verifyLink(
  token: string,
  keys: JSONWebKeySet,
  expected: LinkExpectation,
  now: Date = new Date(),
): Promise<VerifiedLink> {
  const payload = await verifyToken(token, keys, expected, now);
  const operation = linkOperations.find((known) => known === payload.op);
  const format = archiveFormats.find((known) => known === payload.fmt);
  const { path, usr, sub, jti, exp } = payload;
  if (operation !== expected.operation) throw new PluckError("link_invalid", `The link is not for this operation (${expected.operation}).`);
  if (sub !== expected.mountId || typeof path !== "string" || typeof usr !== "string" || jti === undefined || exp === undefined) {
    throw new PluckError("link_invalid", "The link is not for this mount.");
  }
  if (format !== expected.format) throw new PluckError("link_invalid", "The link is not for this archive format.");
  const raw = payload["raw"] === true;
  if (raw !== (expected.raw === true)) throw new PluckError("link_invalid", raw ? "The link is for a volume as it is: add raw=true." : "The link is not for a raw volume.");
  if (!covers(operation, path, expected.path)) throw new PluckError("link_invalid", "The link is not for this path.");
  return {
    agentId: expected.agentId,
    mountId: sub,
    operation,
    path,
    user: usr,
    linkId: jti,
    expiresAt: new Date(exp * 1000),
    ...(format === undefined ? {} : { format }),
    ...(raw ? { raw } : {}),
  };
}

async function verifyToken(token: string, keys: JSONWebKeySet, expected: { readonly agentId: string; readonly type?: string }, now: Date) {
  try {
    const { payload } = await jwtVerify(token, createLocalJWKSet(keys), {
      algorithms: ["EdDSA"],
      typ: expected.type ?? "pluck-link+jwt",
      issuer: "pluck",
      audience: expected.agentId,
      currentDate: now,
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw new PluckError("link_expired", "The link has expired; ask for a new one.");
    throw new PluckError("link_invalid", "The link's signature or form is not valid.", { cause: error });
  }
}

function covers(operation: LinkOperation, linkPath: string, path: string): boolean {
  const granted = parseGuestPath(linkPath);
  const asked = parseGuestPath(path);
  if (granted === undefined || asked === undefined || !isWithin(asked, granted)) return false;
  return operation === "browse" || asked.length === granted.length;
}

/**
 * A link to an archive of a selection (shared/selection.ts), which may be of several mounts of one agent.
 * Its type is another, so that neither kind passes for the other.
 *
 * | Claim | Meaning |
 * |---|---|
 * | iss, aud, usr, exp, iat, jti | as above |
 * | op  | "archive" |
 * | fmt | the format |
 * | sel | hex SHA-256 of the selection's text, which names the mounts and paths |
 */
export interface SelectionClaims {
  readonly agentId: string;
  readonly format: ArchiveFormat;
  readonly selectionSha256: string;
  readonly user: string;
}

export interface VerifiedSelectionLink extends SelectionClaims {
  /** Which key signed it. */
  readonly keyId: string;
  readonly linkId: string;
  readonly expiresAt: Date;
}

const selectionLinkType = "pluck-selection+jwt";

/** @param lifeS seconds from now, 1 to maxLinkLifeS */
export async function signSelectionLink(
  signer: LinkSigner,
  claims: SelectionClaims,
  lifeS: number,
  now: Date = new Date(),
): Promise<{ token: string; linkId: string; expiresAt: Date }> {
  const issuedAtS = Math.floor(now.getTime() / 1000);
  const linkId = nanoid();
  const token = await new SignJWT({ op: "archive", fmt: claims.format, sel: claims.selectionSha256, usr: claims.user })
    .setProtectedHeader({ alg: "EdDSA", kid: signer.keyId, typ: selectionLinkType })
    .setIssuer("pluck")
    .setAudience(claims.agentId)
    .setIssuedAt(issuedAtS)
    .setExpirationTime(issuedAtS + lifeS)
    .setJti(linkId)
    .sign(signer.privateKey);
  return { token, linkId, expiresAt: new Date((issuedAtS + lifeS) * 1000) };
}

/**
 * Verifies a selection's token; whether it is for the selection at hand is the caller's to compare.
 * @throws PluckError link_expired, or link_invalid for everything else that is wrong with it
 */
export async function verifySelectionLink(token: string, keys: JSONWebKeySet, agentId: string, now: Date = new Date()): Promise<VerifiedSelectionLink> {
  const payload = await verifyToken(token, keys, { agentId, type: selectionLinkType }, now);
  const format = archiveFormats.find((known) => known === payload["fmt"]);
  const { usr, sel, jti, exp } = payload;
  if (payload["op"] !== "archive" || format === undefined || typeof usr !== "string" || typeof sel !== "string" || jti === undefined || exp === undefined) {
    throw new PluckError("link_invalid", "The link is not for an archive of a selection.");
  }
  return { agentId, keyId: String(decodeProtectedHeader(token).kid), format, selectionSha256: sel, user: usr, linkId: jti, expiresAt: new Date(exp * 1000) };
}

/** `{agent public url}/v1/archive?token=…`: to be posted to, with the selection as a form. */
export function selectionUrl(publicUrl: string, token: string): string {
  return `${publicUrl.replace(/\/+$/, "")}${selectionPath}?token=${encodeURIComponent(token)}`;
}
export const selectionPath = "/v1/archive";

/** The agent's URL paths, by what they serve. */
export const agentRoutes = {
  files: "browse",
  "file-info": "browse",
  download: "download",
  archive: "archive",
} as const satisfies Record<string, LinkOperation>;
export type AgentRoute = keyof typeof agentRoutes;

/** `{agent public url}/v1/mounts/{mount_id}/{route}?path=…&token=…` plus further parameters. */
export function linkUrl(publicUrl: string, mountId: string, route: AgentRoute, parameters: Record<string, string | undefined>): string {
  const query = Object.entries(parameters)
    .filter((pair): pair is [string, string] => pair[1] !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join("&");
  return `${publicUrl.replace(/\/+$/, "")}/v1/mounts/${encodeURIComponent(mountId)}/${route}?${query}`;
}
