// Turns the packages and the sources of this folder into the static files of the workspace:
//   app.css with its fonts, one script for each file of src/js, icons.svg, filiera-forms.min.js, licences.txt
// Nothing is loaded from another host at run time. `node build.mjs --watch` builds again at each change.

import { build, transform } from "esbuild";
import { PurgeCSS } from "purgecss";
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const product = join(here, "..", "filiera");
const built = join(product, "workspace", "static", "built");
const packages = join(here, "node_modules");
const forms = join(product, "capture", "static", "capture", "filiera-forms.js");
const browsers = ["chrome123", "firefox120", "safari17.5"]; // the first with light-dark()

const textOf = (path) => readFileSync(path, "utf8");

/** Every text in which a class or an icon can be named: templates, Python, our JavaScript. */
const namingFiles = () => [
  ...globSync("**/templates/**/*.html", { cwd: product }).map((path) => join(product, path)),
  ...globSync("**/*.py", { cwd: product }).map((path) => join(product, path)),
  ...globSync("src/js/**/*.js", { cwd: here }).map((path) => join(here, path)),
];

async function scripts() {
  const entries = globSync("src/js/*.js", { cwd: here }); // src/js/shell/ holds what they share
  await build({
    entryPoints: entries.map((name) => join(here, name)),
    outdir: built,
    bundle: true,
    minify: true,
    format: "iife",
    target: browsers,
    legalComments: "none", // licences.txt has them
  });
  if (existsSync(forms)) {
    await build({
      entryPoints: [forms],
      outfile: join(built, "filiera-forms.min.js"),
      bundle: true,
      minify: true,
      format: "iife",
      target: ["es2018"], // runs on customers' sites, in older browsers than ours
      legalComments: "none",
    });
  }
}

async function styles() {
  const ours = await build({
    entryPoints: [join(here, "src", "css", "app.css")],
    outdir: built,
    bundle: true,
    write: false,
    target: browsers,
    loader: { ".woff2": "file" },
    assetNames: "[name]-[hash]",
    legalComments: "none",
  });
  let css = "";
  for (const file of ours.outputFiles) {
    if (file.path.endsWith(".css")) css = file.text;
    else writeFileSync(file.path, file.contents);
  }
  // Tabler goes before, and of it only what some file of ours names: the rest would be read by nobody.
  const [tabler] = await new PurgeCSS().purge({
    content: namingFiles().map((path) => ({ raw: textOf(path), extension: "html" })),
    css: [{ raw: textOf(join(packages, "@tabler", "core", "dist", "css", "tabler.css")) }],
    safelist: { standard: [/^is-/, "icon"], greedy: [/data-bs-theme/] },
    keyframes: true,
  });
  const small = await transform(`${tabler.css}\n${css}`, { loader: "css", minify: true, target: browsers });
  writeFileSync(join(built, "app.css"), small.code);
}

/** One sprite: our own drawings, and of Tabler's outline icons those that are named as a quoted word somewhere. */
function icons() {
  const outline = join(packages, "@tabler", "icons", "icons", "outline");
  const ours = join(here, "src", "icons");
  const known = new Set(readdirSync(outline).map((name) => basename(name, ".svg")));
  const drawn = readdirSync(ours).map((name) => basename(name, ".svg"));
  const used = new Set();
  for (const path of namingFiles()) {
    for (const [, name] of textOf(path).matchAll(/["']([a-z0-9]+(?:-[a-z0-9]+)*)["']/g)) if (known.has(name)) used.add(name);
  }
  const symbol = (name, folder) => {
    const inner = textOf(join(folder, `${name}.svg`))
      .replace(/^[^]*?<svg[^>]*>|<\/svg>[^]*$/g, "")
      .replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none" ?\/>/g, "")
      .replace(/\s*\n\s*/g, "");
    return `<symbol id="i-${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round">${inner}</symbol>`;
  };
  const symbols = [...drawn.map((name) => symbol(name, ours)), ...[...used].sort().map((name) => symbol(name, outline))];
  writeFileSync(join(built, "icons.svg"), `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`);
}

/** The licences of what reaches the browser, in one file beside it. */
function licences() {
  const shipped = ["@tabler/core", "@tabler/icons", "@fontsource-variable/inter", "htmx.org"];
  const texts = shipped.map((name) => {
    const folder = join(packages, name);
    const { version, license } = JSON.parse(textOf(join(folder, "package.json")));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    return `${name} ${version} (${license})\n\n${file ? textOf(join(folder, file)).trim() : license}\n`;
  });
  writeFileSync(join(built, "licences.txt"), texts.join(`\n${"-".repeat(80)}\n\n`));
}

async function all() {
  rmSync(built, { recursive: true, force: true });
  mkdirSync(built, { recursive: true });
  await Promise.all([scripts(), styles()]);
  icons();
  licences();
}

await all();

if (process.argv.includes("--watch")) {
  let waiting;
  const again = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => all().catch((fault) => console.error(fault.message)), 200);
  };
  watch(join(here, "src"), { recursive: true }, again);
  watch(product, { recursive: true }, (_event, name) => !name?.includes("static/built") && /\.(html|py|js)$/.test(name ?? "") && again());
}
