import type { Signal } from "@preact/signals";
import { listAgents, listRepositories } from "../api/catalog.ts";
import { useLoad, type Loaded } from "./load.ts";
import { useRefresh } from "./refresh.ts";
import { toSites, type Site } from "./to-sites.ts";

const refreshMs = 5000;

/** All sites and their health, fetched again while the page is looked at. */
export function useSites(): { state: Signal<Loaded<readonly Site[]>>; reload: () => void } {
  const loaded = useLoad<readonly Site[]>(async (signal) => {
    const [repositories, agents] = await Promise.all([listRepositories(signal), listAgents(signal)]);
    return toSites(repositories, agents);
  }, []);
  useRefresh(loaded, refreshMs);
  return loaded;
}
