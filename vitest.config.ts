import { defineConfig } from "vitest/config";

// Two projects: "unit" needs nothing but Node and takes seconds; "system" uses
// MariaDB, a broker, qemu-nbd, mkfs tools and (as root) the kernel's own mounts.
export default defineConfig({
  test: {
    reporters: ["default", "./test/tools/summary-reporter.ts"],
    projects: [
      {
        test: {
          name: "unit",
          include: ["{agent,cli,coordinator,shared,deploy}/**/*.test.ts"],
          testTimeout: 10_000,
        },
      },
      {
        test: {
          name: "system",
          include: ["test/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 180_000,
          maxWorkers: 2,
        },
      },
    ],
  },
});
