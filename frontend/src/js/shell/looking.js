// Who else looks at this record. Pages tell each other over the event stream, and nothing is stored: each says its tab
// when it begins, every now and then, and when it leaves or is hidden; who hears a new tab answers with its own.
import { post } from "./requests.js";

const place = document.querySelector("[data-looking]");
const beat_ms = 20000;
const silent_ms = 50000;
const tab = Math.random().toString(36).slice(2);
const others = new Map(); // tab → { who, name, until }

function tell(leaves) {
  post(place.dataset.looking, leaves ? { tab, leaves } : { tab }, { keepalive: true }).catch(() => {});
}

function show() {
  for (const [one, { until }] of others) if (until < Date.now()) others.delete(one);
  const names = [...new Map([...others.values()].map(({ who, name }) => [who, name])).values()];
  const words = names.length > 1 ? place.dataset.many : place.dataset.one;
  const told = names.length ? words.replace("{names}", names.join(", ")) : "";
  const text = place.querySelector("[data-text]");
  if (text.textContent !== told) text.textContent = told;
  place.classList.toggle("is-on", names.length > 0);
}

if (place) {
  document.addEventListener("live:looking", ({ detail }) => {
    const { lead, tab: other, who, name, leaves } = JSON.parse(detail);
    if (lead !== place.dataset.lead || who === place.dataset.me) return;
    const isNew = !others.has(other);
    if (leaves) others.delete(other);
    else others.set(other, { who, name, until: Date.now() + silent_ms });
    show();
    if (isNew && !leaves && !document.hidden) tell();
  });
  const beat = () => {
    show();
    if (!document.hidden) tell();
  };
  beat();
  setInterval(beat, beat_ms);
  document.addEventListener("visibilitychange", () => (document.hidden ? tell(true) : beat()));
  addEventListener("pagehide", () => tell(true));
}
