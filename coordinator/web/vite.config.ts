import { join } from "node:path";
import { defineConfig } from "vite";

/** Builds the page into one script, one style sheet and index.html; no inline code, so that the strict CSP holds. */
export default defineConfig({
  root: join(import.meta.dirname, "page"),
  base: "/",
  publicDir: false,
  logLevel: "warn",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2023",
    // Inlined assets would need data: in the CSP; the preload helper is inline code.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
});
