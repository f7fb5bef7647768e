// Makes a fresh Debian 12 ready, before anything of ours runs: plain JavaScript for whatever Node
// (>= 20) started npm, no dependencies. Called by npm as prestart, pretest and so on:
//
//   node deploy/bootstrap.mjs npm|run|test|bench
//
// npm packages are installed when node_modules differs from package-lock.json, Debian packages when
// one of their programs is missing: as root by apt-get, else the command to run is printed. A machine
// that is ready pays some 50 ms. Everything it says goes to stderr: stdout belongs to what follows.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const projectFolder = dirname(dirname(fileURLToPath(import.meta.url)));
const binFolder = join(projectFolder, "node_modules", ".bin");
const policyFile = "/usr/sbin/policy-rc.d";

/** Debian package → the programs we call from it. */
const runPackages = {
  "mariadb-server-core": ["mariadbd", "mariadb-install-db"],
  // mariadb-install-db calls it, without a dependency that says so.
  "mariadb-client-core": ["my_print_defaults"],
  "qemu-utils": ["qemu-nbd", "qemu-img"],
  "util-linux": ["setpriv", "flock"],
};
const demoPackages = {
  e2fsprogs: ["mke2fs", "debugfs"],
  dosfstools: ["mkfs.vfat"],
  mtools: ["mcopy", "mmd"],
  fdisk: ["sfdisk"],
  "qemu-utils": ["qemu-img", "qemu-io"],
};
const testPackages = {
  ...runPackages,
  ...demoPackages,
  "btrfs-progs": ["mkfs.btrfs", "btrfs"],
  attr: ["getfattr", "setfattr"],
  acl: ["getfacl", "setfacl"],
  "busybox-static": ["busybox"],
  chromium: ["chromium"],
  cpio: ["cpio"],
  "cryptsetup-bin": ["cryptsetup"],
  curl: ["curl"],
  dmsetup: ["dmsetup"],
  "f2fs-tools": ["mkfs.f2fs"],
  gdisk: ["sgdisk"],
  genisoimage: ["genisoimage", "isoinfo"],
  "grub-common": ["grub-fstest"],
  jfsutils: ["mkfs.jfs"],
  jq: ["jq"],
  "libarchive-tools": ["bsdtar"],
  "libnbd-bin": ["nbdinfo", "nbdcopy", "nbdfuse"],
  lvm2: ["lvm"],
  "mariadb-client": ["mariadb-dump"],
  mdadm: ["mdadm"],
  mosquitto: ["mosquitto", "mosquitto_passwd"],
  mount: ["mount", "losetup"],
  "p7zip-full": ["7z"],
  parted: ["parted"],
  procps: ["ps", "pgrep"],
  python3: ["python3"],
  reiserfsprogs: ["mkfs.reiserfs"],
  "qemu-system-x86": ["qemu-system-x86_64"],
  sleuthkit: ["fls", "icat"],
  "squashfs-tools": ["mksquashfs", "unsquashfs"],
  "thin-provisioning-tools": ["thin_check"],
  unzip: ["unzip"],
  xfsprogs: ["mkfs.xfs", "xfs_io"],
  xorriso: ["xorriso"],
  zstd: ["zstd"],
};
const packagesFor = {
  npm: {},
  // The demo repository is built only where no repository of the user's own is named.
  run: process.env["PLUCK_REPOSITORY"] ? runPackages : { ...runPackages, ...demoPackages },
  test: testPackages,
  bench: { ...testPackages, "nginx-light": ["nginx"] },
};

const purpose = process.argv[2] ?? "run";
if (!Object.hasOwn(packagesFor, purpose)) fail(`bootstrap: unknown purpose ${purpose}; one of ${Object.keys(packagesFor).join(", ")}`);

const isLocked = process.argv[3] === "--locked";
if (!isReady()) {
  if (isLocked || !hasProgram("flock")) install();
  else rerunUnderLock();
}
assertNode24();

function isReady() {
  return missingNpmPackage() === undefined && missingDebianPackages().length === 0;
}

function install() {
  installDebianPackages();
  const missing = missingNpmPackage();
  if (missing !== undefined) installNpmPackages(missing);
}

/** Two at once (npm start beside npm test) must not both rewrite node_modules. The kernel drops the lock with its holder. */
function rerunUnderLock() {
  const lockFile = join(projectFolder, "package-lock.json");
  // --close: only flock itself holds the lock, nothing that an installation leaves running.
  const result = spawnSync("flock", ["--close", lockFile, process.execPath, fileURLToPath(import.meta.url), purpose, "--locked"], { stdio: ["inherit", 2, 2] });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/**
 * The first package of package-lock.json that node_modules doesn't hold at that version; undefined
 * when all are there. npm writes node_modules/.package-lock.json last, so an installation that was
 * cut off counts as missing.
 */
function missingNpmPackage() {
  const wanted = readPackages(join(projectFolder, "package-lock.json"));
  const present = readPackages(join(projectFolder, "node_modules", ".package-lock.json"));
  if (wanted === undefined) fail("bootstrap: package-lock.json is missing or not JSON");
  if (present === undefined) return "node_modules";
  for (const [path, entry] of Object.entries(wanted)) {
    // Optional ones are for other platforms; the one we need of them is checked by assertNode24.
    if (path === "" || entry.optional) continue;
    const installed = present[path];
    if (installed === undefined || installed.version !== entry.version || installed.integrity !== entry.integrity) return path;
  }
  return existsSync(join(binFolder, "node")) ? undefined : "node_modules/.bin/node";
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    return undefined;
  }
}

function installNpmPackages(missing) {
  say(`installing npm packages (${missing} is missing or another version) ...`);
  // `npm ci` removes node_modules first: it must not run on the Node inside it.
  const result = spawnSync("npm", ["ci", "--loglevel=error", "--no-audit", "--no-fund"], {
    cwd: projectFolder,
    env: environmentOutsideNodeModules(),
    stdio: ["ignore", 2, 2],
  });
  if (result.error !== undefined) fail(`bootstrap: npm could not be started: ${result.error.message}`);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function environmentOutsideNodeModules() {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"));
  const own = Object.entries(process.env).filter(([name]) => !/^npm_(lifecycle|package|command)/.test(name));
  return { ...Object.fromEntries(own), PATH: folders.join(delimiter) };
}

function missingDebianPackages() {
  return Object.entries(packagesFor[purpose])
    .filter(([, programs]) => !programs.every(hasProgram))
    .map(([name]) => name);
}

/** Also in the sbin folders, which an ordinary user's PATH leaves out. */
function hasProgram(program) {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function installDebianPackages() {
  const missing = missingDebianPackages();
  if (missing.length === 0) return;
  const command = `apt-get update && apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (process.getuid?.() !== 0) fail(`These Debian packages are missing. Install them, then start again:\n\n  sudo sh -c '${command}'\n`);
  if (!hasProgram("apt-get")) fail(`This machine has no apt-get. Install what belongs to these Debian packages yourself: ${missing.join(" ")}`);
  say(`installing Debian packages: ${missing.join(" ")} ...`);
  const releasePolicy = forbidServiceStarts();
  try {
    run("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=300", "update"]);
    run("apt-get", ["-q", "-y", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends", ...missing]);
  } finally {
    releasePolicy();
  }
  const still = missingDebianPackages();
  if (still.length > 0) fail(`bootstrap: after the installation these still lack a program: ${still.join(" ")}`);
}

/** We want the programs of mosquitto and nginx, not their services: Debian asks this file before it starts one. */
function forbidServiceStarts() {
  if (existsSync(policyFile)) return () => undefined;
  const remove = () => rmSync(policyFile, { force: true });
  process.once("exit", remove);
  writeFileSync(policyFile, "#!/bin/sh\n# Written by Pluck's deploy/bootstrap.mjs while it installs packages.\nexit 101\n", { mode: 0o755 });
  return remove;
}

function run(program, parameters) {
  const result = spawnSync(program, parameters, { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" }, stdio: ["ignore", 2, 2] });
  if (result.error !== undefined) fail(`bootstrap: ${program} could not be started: ${result.error.message}`);
  if (result.status !== 0) fail(`bootstrap: ${program} ${parameters.join(" ")} failed with code ${result.status}`);
}

/** A skipped optional package would fall back to the system's Node without a word. */
function assertNode24() {
  const result = spawnSync(join(binFolder, "node"), ["--version"], { encoding: "utf8" });
  const version = result.stdout?.trim() ?? "";
  if (version.startsWith("v24.")) return;
  fail(
    `bootstrap: node_modules/.bin/node must be Node 24, but is ${version || "missing"}. ` +
      `It comes with the npm package node-linux-${process.arch}; is optional installation switched off (npm config get omit)?`,
  );
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
