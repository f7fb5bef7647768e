import { elsewhere } from "../state/home.ts";
import { common } from "../text/common.ts";

/** Shown where the page was opened under an address that agents don't know. */
export function ElsewhereNote() {
  const home = elsewhere.value;
  if (home === null) return null;
  return (
    <div class="note note-error" role="alert">
      <p>{common.elsewhere.what(location.origin, home)} <a href={`${home}/${location.hash}`}>{common.elsewhere.goThere(home)}</a></p>
      <p>{common.elsewhere.todo}</p>
    </div>
  );
}
