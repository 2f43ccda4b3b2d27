// transformers.js in headless Chromium. Arguments: job, answers, folder with node_modules. CHROMIUM names another browser.
// Page, library, WebAssembly and models come from one server on this machine; every other address is refused and counted.
import { createReadStream } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const [, , jobFile, outFile, home] = process.argv;
const job = JSON.parse(await readFile(jobFile, "utf-8"));
const modules = path.join(path.resolve(home), "node_modules");
const here = path.dirname(fileURLToPath(import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };
const ROOTS = { models: job.root, library: path.join(modules, "@huggingface/transformers/dist"), ort: path.join(modules, "onnxruntime-web/dist"), page: here };

const missing = [];
const server = createServer(async (request, response) => {
  const [root, ...rest] = decodeURIComponent(new URL(request.url, "http://x").pathname).split("/").filter(Boolean);
  const base = ROOTS[root] ?? path.join(home, "nothing");
  const file = path.join(base, ...rest);
  const info = file.startsWith(base) ? await stat(file).catch(() => null) : null;
  if (!info?.isFile()) {
    missing.push(request.url);
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "application/octet-stream", "content-length": info.size });
  if (request.method === "HEAD") response.end();
  else createReadStream(file).pipe(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const puppeteer = createRequire(path.join(modules, "x.js"))("puppeteer-core");
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
  protocolTimeout: 3_600_000,
});
const outside = [];
try {
  const page = await browser.newPage();
  page.on("request", (request) => {
    if (!request.url().startsWith(`${origin}/`) && !/^(data|blob):/.test(request.url())) outside.push(request.url());
  });
  page.on("pageerror", (error) => console.error(`page: ${error}`));
  await page.goto(`${origin}/page/page.html`);
  const answers = await page.evaluate((given) => globalThis.run(given), { ...job, readme: undefined, root: undefined });
  const version = async (name) => JSON.parse(await readFile(path.join(modules, name, "package.json"), "utf-8")).version;
  const versions = { chromium: (await browser.version()).split("/")[1], node: process.version.slice(1) };
  for (const name of ["@huggingface/transformers", "onnxruntime-web", "puppeteer-core"]) versions[name] = await version(name);
  await writeFile(outFile, JSON.stringify({ versions, answers, facts: { outside, missing } }));
} finally {
  await browser.close();
  server.close();
}
