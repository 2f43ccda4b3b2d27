// transformers.js in Node. Arguments: job, answers, folder with node_modules.
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { ask } from "./client.mjs";

const [, , jobFile, outFile, home] = process.argv;
const job = JSON.parse(await readFile(jobFile, "utf-8"));
const modules = path.join(path.resolve(home), "node_modules");
const library = await import(pathToFileURL(path.join(modules, "@huggingface/transformers/dist/transformers.node.mjs")));
library.env.allowRemoteModels = false;
library.env.localModelPath = job.root;

const version = async (name) => JSON.parse(await readFile(path.join(modules, name, "package.json"), "utf-8")).version;
const versions = { node: process.version.slice(1) };
for (const name of ["@huggingface/transformers", "onnxruntime-node"]) versions[name] = await version(name);
createRequire(path.join(modules, "x.js"))("onnxruntime-node"); // the native binary itself: stops here where there is none
await writeFile(outFile, JSON.stringify({ versions, answers: await ask(library, job, "cpu") }));
