import { useEffect, useRef } from "preact/hooks";
import { call } from "./api/client.ts";
import { ElsewhereNote } from "./parts/elsewhere-note.tsx";
import { LiveRegion } from "./parts/live.tsx";
import { findHome } from "./state/home.ts";
import { isAdmin, session, signOut, token, type Session } from "./state/session.ts";
import { hrefOf, route, type Route } from "./state/route.ts";
import { common } from "./text/common.ts";
import { EventsView } from "./views/events.tsx";
import { FilesView } from "./views/files/files-view.tsx";
import { MountsView } from "./views/mounts.tsx";
import { SignIn } from "./views/sign-in.tsx";
import { SitesView } from "./views/sites.tsx";
import { VmView } from "./views/vm.tsx";
import { VmsView } from "./views/vms.tsx";

export function App() {
  useEffect(() => {
    // A token from before a reload: whose it is. A refused one ends the session by itself.
    if (token.value !== null && session.value === null) {
      call<Session>("/session").then((owner) => { session.value = owner; }, () => undefined);
    }
  }, [token.value]);

  useEffect(() => void findHome(), []);

  useFocusOnArrival();

  if (token.value === null) return <SignIn />;
  return (
    <>
      <a class="skip" href="#content" onClick={focusContent}>{common.skipToContent}</a>
      <header class="bar">
        <a class="brand" href={hrefOf({ view: "vms" })}>{common.product}</a>
        <nav aria-label={common.nav.label}>
          <NavLink to={{ view: "vms" }} text={common.nav.vms} current={["vms", "vm", "files"]} />
          <NavLink to={{ view: "mounts" }} text={common.nav.mounts} />
          <NavLink to={{ view: "sites" }} text={common.nav.sites} />
          {isAdmin.value ? <NavLink to={{ view: "events" }} text={common.nav.events} /> : null}
        </nav>
        <button type="button" class="sign-out" onClick={signOut} title={session.value === null ? undefined : common.signedInAs(session.value.name, session.value.role)}>{common.signOut}</button>
      </header>
      <main id="content" tabIndex={-1}>
        <ElsewhereNote />
        <View />
      </main>
      <LiveRegion />
    </>
  );
}

function View() {
  const current = route.value;
  switch (current.view) {
    case "vms":
      return <VmsView />;
    case "vm":
      return <VmView key={current.vmName} vmName={current.vmName} backupId={current.backupId} />;
    case "files":
      return <FilesView backupId={current.backupId} diskIndex={current.diskIndex} path={current.path} />;
    case "mounts":
      return <MountsView />;
    case "sites":
      return <SitesView />;
    case "events":
      return <EventsView />;
  }
}

function NavLink({ to, text, current = [to.view] }: { to: Route; text: string; current?: readonly Route["view"][] }) {
  return <a href={hrefOf(to)} aria-current={current.includes(route.value.view) ? "page" : undefined}>{text}</a>;
}

/** Whoever follows a link goes on where it led: at what the view marks as its start, else at the content itself. */
function useFocusOnArrival(): void {
  const current = route.value;
  const place = `${token.value === null} ${current.view} ${current.view === "vm" ? current.vmName : current.view === "files" ? `${current.backupId} ${current.diskIndex}` : ""}`;
  const last = useRef<string | undefined>(undefined);
  useEffect(() => {
    const before = last.current;
    last.current = place;
    if (before === place || token.peek() === null) return;
    const content = document.getElementById("content");
    (content?.querySelector<HTMLElement>("[data-first-focus]") ?? content)?.focus({ preventScroll: true });
    if (before !== undefined) window.scrollTo(0, 0);
  }, [place]);
}

/** "#content" would be taken for an address of ours. */
function focusContent(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}
