/*
 * Filiera's form SDK: a lead is in the visitor's browser before the network is asked, and leaves it once the server
 * has stored it. One file, no dependencies.
 *
 *   <script src="…/filiera-forms.min.js" defer data-endpoint="https://…/api/lead" data-source="…" data-form="#modulo"></script>
 *
 * or, by hand: const forms = FilieraForms.attach("#modulo", { endpoint, sourceKey }); forms.failed(); forms.resend(id);
 * The form tells what happens by events: filiera:queued, filiera:sent, filiera:retrying, filiera:failed (detail: item).
 */

const DEFAULTS = {
  endpoint: "/api/lead",
  sourceKey: "", // the public name of the source, sent as X-Source
  source: location.hostname, // the landing's domain, part of the payload
  storageKey: "", // by default {sourceKey}_lead_queue
  maxRetries: 3,
  retryDelayMs: 2000,
  resumeDelayMs: 1000,
  backgroundIntervalMs: 30000, // 0 = off
  timeoutMs: 10000,
  statusSelector: "#status",
  texts: {
    title: "✅ Richiesta ricevuta!",
    code: "Codice: ",
    note: "Stiamo inviando i tuoi dati al sistema. Riceverai conferma via email.",
  },
};
const KEEP_FAILED_MS = 30 * 24 * 3600 * 1000;
const HONEYPOT = "sito"; // hidden: only a program fills it in
const PERMANENT = [400, 401, 403, 404, 405, 409, 413, 422];

const newId = () => {
  let random = "";
  for (const byte of crypto.getRandomValues(new Uint8Array(9))) random += (byte % 36).toString(36);
  return `LEAD_${Date.now()}_${random}`;
};

/** The queue of one page: a JSON array under one key of localStorage, or in memory where there is none. */
class Queue {
  constructor(key) {
    this.key = key;
    this.memory = null;
  }

  all() {
    if (this.memory) return this.memory;
    try {
      const items = JSON.parse(localStorage.getItem(this.key) || "[]");
      return Array.isArray(items) ? items : [];
    } catch {
      return [];
    }
  }

  write(items) {
    if (!this.memory) {
      try {
        localStorage.setItem(this.key, JSON.stringify(items));
        return;
      } catch {
        this.memory = items; // quota, private mode: what is on this page is still sent
      }
    }
    this.memory = items;
  }

  enqueue(data) {
    const item = { id: newId(), data, attempts: 0, createdAt: new Date().toISOString(), status: "pending", lockedUntil: 0 };
    this.write([...this.all(), item]);
    return item;
  }

  get(id) {
    return this.all().find((item) => item.id === id);
  }

  remove(id) {
    this.write(this.all().filter((item) => item.id !== id));
  }

  change(id, changes) {
    this.write(this.all().map((item) => (item.id === id ? { ...item, ...changes } : item)));
  }

  updateStatus(id, status, error) {
    this.change(id, error === undefined ? { status } : { status, lastError: error });
  }

  incrementAttempts(id) {
    this.change(id, { attempts: this.get(id).attempts + 1, lastAttempt: new Date().toISOString() });
  }

  sendable(maxRetries) {
    const now = Date.now();
    return this.all().filter(
      (item) => (item.status === "pending" || item.status === "retrying") && item.attempts < maxRetries && !(item.lockedUntil > now),
    );
  }
}

class Forms {
  constructor(options) {
    this.options = { ...DEFAULTS, ...options, texts: { ...DEFAULTS.texts, ...(options || {}).texts } };
    this.queue = new Queue(this.options.storageKey || `${this.options.sourceKey || "filiera"}_lead_queue`);
    this.scheduled = new Map(); // item id → timer of this page
    this.sending = new Set();
    this.target = document;
    this.purge();
    addEventListener("online", () => this.newRound().forEach((item) => this.send(item.id)));
    const resume = () => setTimeout(() => this.resume(), this.options.resumeDelayMs);
    if (document.readyState === "complete") resume();
    else addEventListener("load", resume);
    if (this.options.backgroundIntervalMs) setInterval(() => this.background(), this.options.backgroundIntervalMs);
  }

  attach(form) {
    this.target = form;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const item = this.queue.enqueue(this.payload(form));
      this.confirm(item.id);
      form.reset();
      this.tell("queued", item);
      this.send(item.id);
    });
    return this;
  }

  /** What a form says: texts as typed, checkboxes as booleans, numbers as whole numbers or null. */
  payload(form) {
    const data = {};
    for (const field of form.elements) {
      if (!field.name || field.disabled || field.type === "submit" || (field.type === "radio" && !field.checked)) continue;
      if (field.name === HONEYPOT && !field.value) continue;
      if (field.type === "checkbox") data[field.name] = field.checked;
      else if (field.type === "number") data[field.name] = /^\s*[+-]?\d+\s*$/.test(field.value) ? parseInt(field.value, 10) : null;
      else data[field.name] = field.value.trim();
    }
    return { ...data, source: this.options.source, timestamp: new Date().toISOString() };
  }

  confirm(id) {
    const place = document.querySelector(this.options.statusSelector);
    if (!place) return;
    const { title, code, note } = this.options.texts;
    const box = document.createElement("div");
    const line = (tag, text) => box.appendChild(Object.assign(document.createElement(tag), { textContent: text }));
    box.className = "fi-received";
    Object.assign(box.style, { padding: "15px", background: "#e0f2fe", borderLeft: "4px solid #0284c7", marginTop: "20px", color: "#14323f" });
    line("strong", title);
    line("div", code).appendChild(Object.assign(document.createElement("code"), { textContent: id }));
    line("div", note);
    place.replaceChildren(box);
  }

  /** Send one item, unless this or another page is sending it. Resolves to what became of it. */
  async send(id) {
    if (this.sending.has(id) || this.scheduled.has(id)) return { success: false, retrying: true };
    this.sending.add(id);
    try {
      if (!navigator.locks) return await this.sendStamped(id);
      return await navigator.locks.request(`filiera:${id}`, { ifAvailable: true }, (lock) =>
        lock ? this.attempt(id) : { success: false, retrying: true },
      );
    } finally {
      this.sending.delete(id);
    }
  }

  async sendStamped(id) {
    const item = this.queue.get(id);
    if (!item || item.lockedUntil > Date.now()) return { success: false, retrying: true };
    const stamp = Date.now() + this.options.timeoutMs + 1000 + Math.random();
    this.queue.change(id, { lockedUntil: stamp });
    await new Promise((resolve) => setTimeout(resolve, 20)); // another tab that wrote after us has the lock
    if ((this.queue.get(id) || {}).lockedUntil !== stamp) return { success: false, retrying: true };
    return this.attempt(id);
  }

  async attempt(id) {
    const item = this.queue.get(id);
    const { maxRetries, retryDelayMs } = this.options;
    if (!item || item.attempts >= maxRetries || (item.status !== "pending" && item.status !== "retrying")) return { success: false, retrying: true };
    console.log(`📤 [LEAD ${id}] Tentativo ${item.attempts + 1}/${maxRetries}`);
    const answer = await this.post(item);
    if (answer.ok) {
      this.queue.updateStatus(id, "sent");
      this.queue.remove(id);
      console.log(`✅ [LEAD ${id}] Inviato con successo!`);
      this.tell("sent", item);
      return { success: true, result: answer.body };
    }
    this.queue.incrementAttempts(id);
    this.queue.change(id, { lockedUntil: 0 });
    const tries = item.attempts + 1;
    console.error(`❌ [LEAD ${id}] Errore tentativo ${tries}: ${answer.error}`);
    if (!answer.permanent && tries < maxRetries) {
      const delay = Math.max(retryDelayMs * 2 ** (tries - 1), answer.retryAfterMs);
      this.queue.updateStatus(id, "retrying", answer.error);
      console.log(`🔄 [LEAD ${id}] Retry tra ${delay}ms...`);
      this.scheduled.set(
        id,
        setTimeout(() => {
          this.scheduled.delete(id);
          this.send(id);
        }, delay),
      );
      this.tell("retrying", this.queue.get(id));
      return { success: false, retrying: true };
    }
    this.queue.change(id, { status: "failed", lastError: answer.error, permanent: answer.permanent });
    if (!answer.permanent) console.error(`💀 [LEAD ${id}] MAX RETRIES raggiunto. Lead salvato per invio manuale.`);
    this.tell("failed", this.queue.get(id));
    return { success: false, error: answer.error };
  }

  async post(item) {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), this.options.timeoutMs);
    const no = (error, permanent = false, retryAfterMs = 0) => ({ ok: false, error, permanent, retryAfterMs });
    try {
      const headers = { "Content-Type": "application/json", "X-Request-ID": item.id };
      if (this.options.sourceKey) headers["X-Source"] = this.options.sourceKey;
      const response = await fetch(this.options.endpoint, {
        method: "POST",
        headers,
        body: JSON.stringify(item.data),
        signal: stop.signal,
        keepalive: true,
        credentials: "omit",
      });
      const seconds = Number(response.headers.get("Retry-After"));
      const wait = response.status === 429 && seconds > 0 ? seconds * 1000 : 0;
      let body = null;
      try {
        body = await response.json();
      } catch {
        if (response.ok) return no("Errore backend");
      }
      if (response.ok && body && body.success === true) return { ok: true, body };
      return no((body && body.error) || "Errore backend", PERMANENT.includes(response.status), wait);
    } catch (error) {
      return no(error.name === "AbortError" ? "Tempo scaduto" : error.message || "Errore di rete");
    } finally {
      clearTimeout(timer);
    }
  }

  resume() {
    this.newRound();
    const items = this.queue.sendable(this.options.maxRetries).filter((item) => !this.scheduled.has(item.id) && !this.sending.has(item.id));
    if (items.length) console.log(`🔄 Trovati ${items.length} lead pendenti. Riprovo invio...`);
    items.forEach((item) => this.send(item.id));
  }

  background() {
    const items = this.queue.sendable(this.options.maxRetries).filter((item) => !this.scheduled.has(item.id) && !this.sending.has(item.id));
    if (items.length) console.log(`🔄 [Background] Riprovo ${items.length} lead pendenti...`);
    items.forEach((item) => this.send(item.id));
  }

  /** Give what failed for want of a network a new round; what was refused waits for a hand. Returns those items. */
  newRound() {
    const again = this.failed().filter((item) => !item.permanent);
    again.forEach((item) => this.queue.change(item.id, { status: "pending", attempts: 0, lockedUntil: 0 }));
    return again;
  }

  failed() {
    return this.queue.all().filter((item) => item.status === "failed");
  }

  resend(id) {
    this.queue.change(id, { status: "pending", attempts: 0, lockedUntil: 0, permanent: false });
    return this.send(id);
  }

  purge() {
    const oldest = Date.now() - KEEP_FAILED_MS;
    const items = this.queue.all();
    const kept = items.filter((item) => item.status !== "failed" || Date.parse(item.createdAt) > oldest);
    if (kept.length !== items.length) this.queue.write(kept);
  }

  tell(what, item) {
    this.target.dispatchEvent(new CustomEvent(`filiera:${what}`, { bubbles: true, detail: item }));
  }
}

const FilieraForms = {
  /** Attach the SDK to a form, given as element or selector; returns its queue with failed() and resend(id). */
  attach(form, options) {
    const element = typeof form === "string" ? document.querySelector(form) : form;
    return element ? new Forms(options).attach(element) : null;
  },
};
window.FilieraForms = FilieraForms;

const script = document.currentScript;
if (script && script.dataset.form) {
  const { form, endpoint, source, storageKey, status } = script.dataset;
  const options = { sourceKey: source || "" };
  if (endpoint) options.endpoint = endpoint;
  if (storageKey) options.storageKey = storageKey;
  if (status) options.statusSelector = status;
  const start = () => (FilieraForms.current = FilieraForms.attach(form, options));
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
}
