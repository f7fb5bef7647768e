// Paths inside a mount, as entries carry them: "/p2/etc/hosts". A segment stays as it is written.

/** The last segment; "" for "/". */
export function lastSegment(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The folder that it lies in; "/" for "/". */
export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

export function joinPath(folder: string, segment: string): string {
  return folder === "/" ? `/${segment}` : `${folder}/${segment}`;
}

/** As typed: doubled slashes, a missing first or a last one too many do no harm; "." and ".." are walked. */
export function cleanPath(typed: string): string {
  const segments: string[] = [];
  for (const segment of typed.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment === "..") segments.pop();
    else segments.push(segment);
  }
  return `/${segments.join("/")}`;
}

/** "/", "/p2", "/p2/etc" for "/p2/etc". */
export function ancestorsOf(path: string): string[] {
  const segments = path.split("/").filter((segment) => segment !== "");
  return ["/", ...segments.map((_, index) => `/${segments.slice(0, index + 1).join("/")}`)];
}
