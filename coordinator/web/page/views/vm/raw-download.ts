import { fetchLink } from "../../api/client.ts";
import type { CreatedLink } from "../../api/types.ts";

/**
 * Lets the browser fetch a link as a download. Asked for its head first: a refusal would take the
 * page's place. @throws ApiError
 */
export async function startDownload({ url }: CreatedLink): Promise<void> {
  await fetchLink(url, { method: "HEAD" });
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.rel = "noreferrer";
  anchor.click();
}
