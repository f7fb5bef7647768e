import { useEffect, useRef } from "preact/hooks";
import { useSignal, type Signal } from "@preact/signals";
import { listFolder } from "../../api/links.ts";
import { hrefOf, navigate } from "../../state/route.ts";
import { files } from "../../text/files.ts";
import type { DiskSession } from "./disk-session.ts";
import { ancestorsOf, cleanPath, lastSegment } from "./guest-paths.ts";
import { Name } from "./name.tsx";
import { commonBeginning, completions, splitTyped } from "./path-completion.ts";

/** As many as one page has: what comes after these has to be typed. */
const maxLookedAt = 10_000;

interface Props {
  readonly disk: DiskSession;
  readonly path: string;
  /** Whether the path is being typed. */
  readonly isTyping: Signal<boolean>;
  readonly onDone: () => void;
}

/** Where one is: links to every folder above, or a field to type in. */
export function PathBar({ disk, path, isTyping, onDone }: Props) {
  if (isTyping.value) return <PathField disk={disk} path={path} onDone={() => { isTyping.value = false; onDone(); }} />;
  const places = ancestorsOf(path);
  return (
    <nav class="path-bar" aria-label={files.path}>
      <ol>
        {places.map((place) => (
          <li key={place}>
            <a href={hrefOf({ view: "files", backupId: disk.backupId, diskIndex: disk.diskIndex, path: place })} aria-current={place === path ? "page" : undefined}>
              {place === "/" ? files.diskOption(disk.diskIndex) : <Name name={lastSegment(place)} />}
            </a>
          </li>
        ))}
      </ol>
      <button type="button" class="plain" title={files.editPathHint} onClick={() => { isTyping.value = true; }}>{files.editPath}</button>
    </nav>
  );
}

function PathField({ disk, path, onDone }: Omit<Props, "isTyping">) {
  const typed = useSignal(path === "/" ? "/" : `${path}/`);
  const offers = useSignal<readonly string[]>([]);
  const current = useSignal(-1);
  const input = useRef<HTMLInputElement>(null);
  const listings = useRef(new Map<string, ReturnType<typeof listFolder>>());
  const { folder, beginning } = splitTyped(typed.value);

  useEffect(() => input.current?.select(), []);
  useEffect(() => {
    let isLate = false;
    let listing = listings.current.get(folder);
    if (listing === undefined) listings.current.set(folder, (listing = disk.use((mountId) => listFolder(mountId, folder, { limit: maxLookedAt }))));
    listing.then(
      ({ entries }) => {
        if (isLate) return;
        offers.value = completions(beginning, entries);
        current.value = -1;
      },
      // A folder that is not there has nothing to offer; Enter says so.
      () => { if (!isLate) offers.value = []; },
    );
    return () => { isLate = true; };
  }, [folder, beginning]);

  function go(to: string): void {
    navigate({ view: "files", backupId: disk.backupId, diskIndex: disk.diskIndex, path: cleanPath(to) });
    onDone();
  }
  function onKeyDown(event: KeyboardEvent): void {
    const count = offers.value.length;
    if (event.key === "ArrowDown" && count > 0) current.value = (current.value + 1) % count;
    else if (event.key === "ArrowUp" && count > 0) current.value = current.value <= 0 ? count - 1 : current.value - 1;
    else if (event.key === "Tab" && !event.shiftKey && count > 0 && commonBeginning(offers.value).length > typed.value.length) typed.value = commonBeginning(offers.value);
    else if (event.key === "Tab" && !event.shiftKey && current.value >= 0) typed.value = offers.value[current.value] ?? typed.value;
    else if (event.key === "Enter") go(offers.value[current.value] ?? typed.value);
    else if (event.key === "Escape") onDone();
    else return;
    event.preventDefault();
  }

  const isOpen = offers.value.length > 0;
  return (
    <form class="path-bar path-typed" onSubmit={(event) => { event.preventDefault(); go(typed.value); }}>
      <input
        ref={input}
        class="mono"
        role="combobox"
        aria-label={files.path}
        aria-expanded={isOpen}
        aria-controls="path-offers"
        aria-autocomplete="list"
        aria-activedescendant={current.value >= 0 ? `path-offer-${current.value}` : undefined}
        autocomplete="off"
        spellcheck={false}
        value={typed.value}
        onInput={(event) => { typed.value = event.currentTarget.value; }}
        onKeyDown={onKeyDown}
      />
      <button type="submit">{files.go}</button>
      <ul id="path-offers" role="listbox" aria-label={files.completions} class="path-offers" hidden={!isOpen}>
        {offers.value.map((offer, index) => (
          <li key={offer} id={`path-offer-${index}`} role="option" aria-selected={index === current.value} onMouseDown={(event) => event.preventDefault()} onClick={() => go(offer)}>
            <Name name={offer} />
          </li>
        ))}
      </ul>
    </form>
  );
}
