import { signal } from "@preact/signals";

/** What the address shows, after its "#": reload, back and a copied address lead to the same place. */
export type Route =
  | { readonly view: "vms" }
  | { readonly view: "vm"; readonly vmName: string; readonly backupId?: string }
  | { readonly view: "files"; readonly backupId: string; readonly diskIndex: number; readonly path: string }
  | { readonly view: "mounts" }
  | { readonly view: "sites" }
  | { readonly view: "events" };

/** The path of an address: "#/files/backup-1/0/p2/etc". What is no address of ours is the start. */
export function parseRoute(hash: string): Route {
  const segments = hash.replace(/^#?\/?/, "").split("/").map(decode);
  const [view, first, second, ...rest] = segments;
  switch (view) {
    case "vm":
      if (first === undefined || first === "") break;
      return second === undefined || second === "" ? { view, vmName: first } : { view, vmName: first, backupId: second };
    case "files":
      if (first === undefined || first === "" || second === undefined || !/^\d{1,3}$/.test(second)) break;
      return { view, backupId: first, diskIndex: Number(second), path: `/${rest.filter((segment) => segment !== "").join("/")}` };
    case "mounts":
    case "sites":
    case "events":
      return { view };
    default:
  }
  return { view: "vms" };
}

/** The address of a place, for href. */
export function hrefOf(route: Route): string {
  switch (route.view) {
    case "vms":
      return "#/";
    case "vm":
      return `#/vm/${encodeURIComponent(route.vmName)}${route.backupId === undefined ? "" : `/${encodeURIComponent(route.backupId)}`}`;
    case "files":
      return `#/files/${encodeURIComponent(route.backupId)}/${route.diskIndex}${route.path.split("/").map(encodeURIComponent).join("/").replace(/^\/$/, "")}`;
    default:
      return `#/${route.view}`;
  }
}

/** A segment that is not well encoded stands for itself. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export const route = signal<Route>(parseRoute(typeof location === "undefined" ? "" : location.hash));

if (typeof window !== "undefined") window.addEventListener("hashchange", () => { route.value = parseRoute(location.hash); });

export function navigate(to: Route, options: { replace?: boolean } = {}): void {
  const href = hrefOf(to);
  if (options.replace === true) history.replaceState(null, "", href);
  else if (location.hash !== href) history.pushState(null, "", href);
  route.value = parseRoute(href);
}

if (typeof window !== "undefined") window.addEventListener("popstate", () => { route.value = parseRoute(location.hash); });
