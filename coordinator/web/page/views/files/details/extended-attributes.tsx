import { files } from "../../../text/files.ts";
import { attributeText, fromBase64, parsePosixAcl } from "../attributes.ts";
import { Name } from "../name.tsx";
import { hexBytes } from "../preview/hex.ts";

/** More of a value is not shown; the guest's own tools show the rest. */
const maxShownBytes = 512;

/** @param xattrs base64 of each value */
export function ExtendedAttributes({ xattrs }: { xattrs: Readonly<Record<string, string>> }) {
  const names = Object.keys(xattrs);
  if (names.length === 0) return null;
  return (
    <>
      <h3>{files.xattrs}</h3>
      <dl class="entry-facts">
        {names.map((name) => (
          <div key={name}>
            <dt><code><Name name={name} /></code></dt>
            <dd><Value name={name} bytes={fromBase64(xattrs[name] ?? "")} /></dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function Value({ name, bytes }: { name: string; bytes: Uint8Array }) {
  const acl = name.startsWith("system.posix_acl_") ? parsePosixAcl(bytes) : undefined;
  if (acl !== undefined) return <ul class="acl">{acl.map(({ who, id, permissions }) => <li><code>{permissions}</code> {files.acl[who]}{id === undefined ? "" : ` ${id}`}</li>)}</ul>;
  const text = attributeText(bytes.subarray(0, maxShownBytes));
  return <code>{text ?? hexBytes(bytes.subarray(0, maxShownBytes))}{bytes.length > maxShownBytes ? " …" : ""}</code>;
}
