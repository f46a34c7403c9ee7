// Live never jumps. The server says which topic changed; the page is read again from its own address and only what
// differs is put in place, by id: regions (`data-live="topics"`) whole, tables (`data-live-rows`) row by row.
// New rows wait behind a bar (`data-newbar="id of the table body"`) until the person asks for them.
// One tab holds the stream and tells the others: a browser opens only six connections to one server.
import { htmx } from "./requests.js";

const pause_ms = 700; // after an event, so that a burst of them costs one reading
const topics = new Set();
const waiting = new Map(); // table body → rows of the latest reading that are not shown yet
let timer = null;
let reading = false;

function heard(topic, line) {
  document.dispatchEvent(new CustomEvent(`live:${topic}`, { detail: line }));
  if (topic === "looking") return; // says all by itself, there is nothing to read again
  topics.add(topic);
  if (!timer && !reading) timer = setTimeout(read, pause_ms);
}

async function read() {
  timer = null;
  const wanted = [...document.querySelectorAll("[data-live]")].filter((region) =>
    region.dataset.live.split(" ").some((topic) => topics.has(topic) || topics.has("all")),
  );
  topics.clear();
  if (!wanted.length || document.hidden) return document.hidden && topics.add("all");
  reading = true;
  try {
    const answer = await fetch(location.href, { headers: { "X-Live": "1" } });
    if (answer.redirected || answer.status === 401) return location.reload();
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of wanted) {
      const update = fresh.getElementById(region.id);
      if (!update || !region.isConnected) continue;
      if (region.dataset.liveRows === undefined) replace(region, update);
      else patchRows(region, update);
    }
  } catch {
    // The line is down: the notice on top says so, the next event reads again.
  } finally {
    reading = false;
    if (topics.size) timer = setTimeout(read, pause_ms);
  }
}

const busy = (element) => element.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
const text = (element) => element.outerHTML.replace(/ class="[^"]*"/, "").replace(/\s+/g, " ");

function replace(region, update) {
  if (busy(region) || region.querySelector("[popover]:popover-open, dialog[open]") || text(region) === text(update)) return;
  const held = region.contains(document.activeElement) ? path(document.activeElement, region) : null;
  region.replaceWith(update);
  htmx.process(update);
  if (held) follow(held, update)?.focus({ preventScroll: true });
  update.dispatchEvent(new CustomEvent("live:changed", { bubbles: true }));
}

/** Where an element stands: its id, or the way to it from the region, so that focus finds its twin. */
function path(element, region) {
  if (element.id) return { id: element.id };
  const steps = [];
  for (let at = element; at !== region; at = at.parentElement) steps.unshift([...at.parentElement.children].indexOf(at));
  return { steps };
}
function follow({ id, steps }, region) {
  if (id) return document.getElementById(id);
  return steps.reduce((at, step) => at?.children[step], region);
}

function patchRows(body, update) {
  const shown = new Set([...body.children].map((row) => row.id));
  const arrivals = [];
  for (const row of [...update.children]) {
    const old = row.id && shown.has(row.id) ? document.getElementById(row.id) : null;
    if (old) {
      for (const kept of ["is-focus", "is-selected"]) if (old.classList.contains(kept)) row.classList.add(kept);
      const box = row.querySelector("input[type=checkbox][name]");
      if (box) box.checked = old.querySelector("input[type=checkbox][name]")?.checked ?? false;
      replace(old, row);
    } else if (row.id) arrivals.push(row);
  }
  // Only what stands above the first shown row is new; what follows belongs to the next page.
  const firstShown = [...update.children].findIndex((row) => shown.has(row.id));
  const fresh = arrivals.filter((row) => shown.size === 0 || [...update.children].indexOf(row) < firstShown || firstShown < 0);
  const bar = document.querySelector(`[data-newbar="${body.id}"]`);
  if (!bar) return body.prepend(...fresh);
  waiting.set(body, fresh);
  bar.hidden = fresh.length === 0;
  const label = bar.querySelector("[data-text]");
  label.textContent = (fresh.length === 1 ? bar.dataset.one : bar.dataset.many).replace("{n}", fresh.length);
}

document.addEventListener("click", ({ target }) => {
  const bar = target.closest("[data-newbar]");
  const body = bar && document.getElementById(bar.dataset.newbar);
  if (!body) return;
  const rows = waiting.get(body) ?? [];
  body.prepend(...rows);
  rows.forEach((row) => htmx.process(row));
  waiting.delete(body);
  bar.hidden = true;
  const empty = body.querySelector("[data-none]");
  if (rows.length && empty) empty.remove();
  rows[0]?.querySelector("a")?.focus({ preventScroll: true });
});

// ── the stream ──
const known = ["leads", "calls", "agents", "inbound", "board", "notifications", "imports", "looking"];
const others = new BroadcastChannel("filiera-live");
const brand = document.body.dataset.brand;

others.addEventListener("message", ({ data }) => {
  if (data.line) setLine(data.line);
  else if (data.brand === brand) heard(data.topic, data.told);
});

function listen() {
  const stream = new EventSource("/live");
  for (const topic of known) {
    stream.addEventListener(topic, ({ data }) => {
      heard(topic, data);
      others.postMessage({ brand, topic, told: data });
    });
  }
  let wasDown = false;
  stream.addEventListener("open", () => {
    setLine("up");
    others.postMessage({ line: "up" });
    if (wasDown) heard("all"); // what happened while the line was down
    wasDown = false;
  });
  stream.addEventListener("error", () => {
    wasDown = true;
    setLine("down");
    others.postMessage({ line: "down" });
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
}

function setLine(detail) {
  document.dispatchEvent(new CustomEvent("line", { detail }));
}

if (brand) {
  // The lock is per brand: tabs of two brands need two streams, since a stream shows one brand only.
  navigator.locks.request(`filiera-live-${brand}`, () => {
    listen();
    return new Promise(() => {});
  });
  document.addEventListener("visibilitychange", () => !document.hidden && heard("all"));
}
