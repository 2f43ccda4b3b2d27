// Opens pages in headless Chromium and prints what it saw as one JSON value.
//
//   node look.mjs CHROMIUM OPTIONS.json
//
// OPTIONS: {"pages": [{"file", "width", "dark", "print", "png"}, ...]}. Every page is loaded from disk; requests that leave it
// are refused and told. Result: a list of {title, language, text, all, headings, errors, requests, overflow, axe, tabs, focus, pictures}.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import axe from "axe-core";
import puppeteer from "puppeteer-core";

const [chromium, options] = process.argv.slice(2);
const { pages } = JSON.parse(await readFile(options, "utf8"));
const browser = await puppeteer.launch({
  executablePath: chromium,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"],
});
const found = [];
try {
  for (const page of pages) found.push(await look(page));
} finally {
  await browser.close();
}
console.log(JSON.stringify(found));

async function look({ file, width = 1280, dark = false, print = false, png = null }) {
  const page = await browser.newPage();
  const errors = [];
  const requests = [];
  const own = pathToFileURL(file).href;
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    const local = request.url().split("#")[0] === own;
    if (!local) requests.push(request.url());
    local ? request.continue() : request.abort();
  });
  await page.setViewport({ width, height: width < 600 ? 780 : 900, deviceScaleFactor: 1 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
  if (print) await page.emulateMediaType("print");
  await page.goto(own, { waitUntil: "load" });
  const seen = await page.evaluate(() => {
    // Pairs of texts of a picture that lie over each other, and texts that leave it.
    const clashes = (svg) => {
      const frame = svg.getBoundingClientRect();
      const texts = [...svg.querySelectorAll("text")].map((e) => [e.textContent, e.getBoundingClientRect()]);
      const out = texts.filter(([, b]) => b.left < frame.left - 1 || b.right > frame.right + 1).map(([word]) => `outside: ${word}`);
      texts.forEach(([word, a], i) =>
        texts.slice(i + 1).forEach(([other, b]) => {
          const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
          const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
          if (across > 2 && down > 4) out.push(`${word} / ${other}`);
        }),
      );
      return out;
    };
    return {
    title: document.title,
    language: document.documentElement.lang,
    text: document.body.innerText,
    all: document.body.textContent,
    headings: [...document.querySelectorAll("h1, h2, h3, h4")].map((h) => [Number(h.tagName[1]), h.innerText]),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    wide: [...document.querySelectorAll("body *")]
      .filter((e) => !e.closest(".scroll, pre, svg, .visually-hidden, caption, .skip") && e.getBoundingClientRect().right > innerWidth + 1)
      .map((e) => e.outerHTML.slice(0, 120)),
    refresh: document.querySelector("meta[http-equiv=refresh]")?.content ?? null,
    pictures: [...document.querySelectorAll("svg")]
      .filter((svg) => svg.getBoundingClientRect().width > 0)
      .map((svg) => ({ name: svg.querySelector("title").textContent, clashes: clashes(svg) })),
    };
  });
  if (png) await page.screenshot({ path: png, fullPage: true });
  const tabs = print ? [] : await walk(page);
  if (!print) await page.evaluate(axe.source); // by the debugger, which the page's own policy does not bind
  const result = print ? { violations: [] } : await page.evaluate(() => globalThis.axe.run(document));
  await page.close();
  const violations = result.violations.map((v) => ({ id: v.id, nodes: v.nodes.map((n) => n.html.slice(0, 200) + " " + (n.any[0]?.message ?? "")) }));
  return { ...seen, errors, requests, axe: violations, tabs };
}

// The elements that Tab reaches, in order: what each is, and whether its focus can be seen.
async function walk(page) {
  const found = [];
  for (let step = 0; step < 200; step++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      if (!e || e === document.body) return null;
      const style = getComputedStyle(e);
      const box = e.getBoundingClientRect();
      return {
        tag: e.tagName.toLowerCase(),
        text: (e.getAttribute("aria-label") ?? e.innerText).slice(0, 60),
        visible: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
        onScreen: box.bottom > 0 && box.top < innerHeight,
      };
    });
    if (at === null) break;
    found.push(at);
  }
  return found;
}
