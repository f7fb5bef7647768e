/** Frames of downloads that may still be on their way to begin; older ones are taken away. */
const maxFrames = 24;
const frames: HTMLIFrameElement[] = [];
let made = 0;

/**
 * Leaves a download to the browser, in a frame that nobody sees: an answer with Content-Disposition is
 * saved, and a refusal (which a page of another origin may not read) is noticed by its being shown.
 */
export function downloadInFrame(url: string, onRefused: () => void): void {
  const link = document.createElement("a");
  link.href = url;
  link.target = makeFrame(onRefused);
  document.body.append(link);
  link.click();
  link.remove();
}

/** The same by POST, for a selection too long for an address. */
export function postInFrame(url: string, fields: Readonly<Record<string, string>>, onRefused: () => void): void {
  const form = document.createElement("form");
  form.method = "post";
  form.action = url;
  form.target = makeFrame(onRefused);
  form.hidden = true;
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = name;
    field.value = value;
    form.append(field);
  }
  document.body.append(form);
  form.submit();
  form.remove();
}

/** @returns its name, as a target */
function makeFrame(onRefused: () => void): string {
  const frame = document.createElement("iframe");
  made += 1;
  frame.name = `download-${made}`;
  frame.hidden = true;
  frame.title = frame.name;
  document.body.append(frame);
  frame.addEventListener("load", () => {
    // The empty document that a new frame has is ours to read; what a server sent is not.
    if (!isEmpty(frame)) onRefused();
  });
  frames.push(frame);
  if (frames.length > maxFrames) frames.shift()?.remove();
  return frame.name;
}

function isEmpty(frame: HTMLIFrameElement): boolean {
  try {
    return frame.contentDocument?.URL === "about:blank";
  } catch {
    return false;
  }
}
