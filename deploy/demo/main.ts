import { resolve } from "node:path";
import { buildDemoRepository } from "./build-repository.ts";
import { demoBackups } from "./catalog.ts";

// npm run demo -- [FOLDER]: builds the demo repository alone and prints the bodies that register it.
const folder = resolve(process.argv[2] ?? "demo-repository");
const isNew = await buildDemoRepository(folder);
console.error(isNew ? `built ${folder}` : `${folder} is there already`);
console.log(JSON.stringify(demoBackups, undefined, 2));
