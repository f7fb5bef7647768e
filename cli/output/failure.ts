import { errorCodes, type ErrorCode } from "../../shared/errors.ts";

/** Codes of the command line itself, beside those of the API (shared/errors.ts). */
export const localCodes = [
  "usage",
  "not_installed",
  "unreachable",
  "bad_answer",
  "file_exists",
  "name_clash",
  "unsafe_name",
  "not_representable",
  "file_changed",
  "incomplete",
  "hash_mismatch",
  "write_failed",
  "some_failed",
  "interrupted",
] as const;
export type LocalCode = (typeof localCodes)[number];
export type FailureCode = ErrorCode | LocalCode;

/** What the command exits with; docs/cli.md promises them. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, notFound: 3, denied: 4, unavailable: 5, interrupted: 130 } as const;

const exitByCode: Partial<Record<FailureCode, number>> = {
  usage: exitCodes.usage,
  invalid_request: exitCodes.usage,
  backup_not_found: exitCodes.notFound,
  disk_not_found: exitCodes.notFound,
  mount_not_found: exitCodes.notFound,
  repository_not_found: exitCodes.notFound,
  agent_not_found: exitCodes.notFound,
  path_not_found: exitCodes.notFound,
  not_found: exitCodes.notFound,
  qcow2_missing: exitCodes.notFound,
  unauthenticated: exitCodes.denied,
  forbidden: exitCodes.denied,
  volume_locked: exitCodes.denied,
  wrong_key: exitCodes.denied,
  link_expired: exitCodes.denied,
  link_invalid: exitCodes.denied,
  unreachable: exitCodes.unavailable,
  agent_offline: exitCodes.unavailable,
  agent_timeout: exitCodes.unavailable,
  nbd_devices_exhausted: exitCodes.unavailable,
  database_unavailable: exitCodes.unavailable,
  too_many_attempts: exitCodes.unavailable,
  backup_in_use: exitCodes.unavailable,
  backup_incomplete: exitCodes.unavailable,
  interrupted: exitCodes.interrupted,
};

/** What to do, in the words of the command line; docs/errors.md says more. */
const advice: Partial<Record<FailureCode, string>> = {
  backup_not_found: "`pluck vms` and `pluck backups VM` list what there is.",
  disk_not_found: "`pluck ls VM:` lists the disks.",
  mount_not_found: "`pluck mounts` lists what is open.",
  repository_not_found: "`pluck agents` names the repositories.",
  path_not_found: "`pluck ls` shows the folder above; the first name of a path is the volume.",
  not_a_directory: "`pluck stat` says what it is.",
  not_a_file: "`pluck stat` says what it is; `pluck get --archive tar` keeps devices and sockets.",
  volume_locked: "`pluck unlock VM:disk/volume` opens it with its passphrase or keyfile.",
  wrong_key: "Try again; five wrong keys in a row are free.",
  too_many_attempts: "Wait as long as it says.",
  backup_incomplete: "Wait for the backup job, or take an older restore point: @-1.",
  backup_in_use: "Try again when the backup job is done.",
  qcow2_missing: "Bring the file back, or take another restore point.",
  nbd_devices_exhausted: "`pluck mounts` lists what is open, `pluck umount` ends one.",
  agent_offline: "`pluck agents` says when it was last seen.",
  agent_timeout: "Try again; a slow disk goes on being opened.",
  corrupt: "Other files may be whole; try another restore point.",
  io_error: "Try again; the agent's log has more.",
  unauthenticated: "`pluck login URL` signs in.",
  forbidden: "Use an administrator's token.",
  database_unavailable: "Try again in a few seconds.",
  unreachable: "Check the address (`pluck login URL`) and that the server runs.",
  bad_answer: "Check the address: `pluck login URL`.",
  file_exists: "Choose another folder with -o, or overwrite with --force.",
  name_clash: "Get the two into different folders with -o.",
  unsafe_name: "Get it as an archive: `pluck get --archive tar`.",
  not_representable: "Get it as an archive: `pluck get --archive tar`.",
  file_changed: "Run the same command again.",
  incomplete: "Run the same command again: what is there is kept and completed.",
  hash_mismatch: "Run the same command again; if it stays so, check the storage on both sides.",
  write_failed: "Check space and permissions of the output folder.",
  some_failed: "Run the same command again: what is there is kept.",
  interrupted: "Run the same command again: what is there is kept and completed.",
  internal: "The server's log has the cause.",
};

/** An error that is shown as it stands: one line with its stable code, what was wrong, what to do. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly code: FailureCode;
  /** What to do, a sentence; empty when there is nothing to say. */
  readonly advice: string;
  /** Seconds after which a retry makes sense. */
  readonly retryAfterS: number | undefined;
  /** Another attempt would not do it. */
  readonly isFinal: boolean;

  constructor(code: FailureCode, detail: string, todo?: string, options: { cause?: unknown; retryAfterS?: number; isFinal?: boolean } = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.advice = todo ?? advice[code] ?? "";
    this.retryAfterS = options.retryAfterS;
    this.isFinal = options.isFinal === true;
  }

  get exitCode(): number {
    return exitByCode[this.code] ?? exitCodes.failed;
  }
}

export function isKnownCode(code: string): code is FailureCode {
  return Object.hasOwn(errorCodes, code) || localCodes.some((known) => known === code);
}

/** Any thrown value as a failure; a fault of our own becomes `internal`. */
export function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (typeof code === "string" && typeof syscall === "string") return new Failure("write_failed", message, undefined, { cause: error });
  return new Failure("internal", error instanceof Error ? error.message : String(error), "This is a fault of pluck itself; please report it.", { cause: error });
}
