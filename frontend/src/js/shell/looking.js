// Who else looks at this record. Pages tell each other over the event stream, and nothing is stored: each says its tab
// every now and then, and when it leaves or is hidden; when it begins or hears again it asks, and the others answer.
import { post } from "./requests.js";

const place = document.querySelector("[data-looking]");
const beat_ms = 20000;
const silent_ms = 50000;
const tab = Math.random().toString(36).slice(2);
const others = new Map(); // tab → { who, name, until }

function tell(more = {}) {
  post(place.dataset.looking, { tab, ...more }, { keepalive: true }).catch(() => {});
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
    const { lead, tab: other, who, name, leaves, asks } = JSON.parse(detail);
    if (lead !== place.dataset.lead || who === place.dataset.me) return;
    if (leaves) others.delete(other);
    else others.set(other, { who, name, until: Date.now() + silent_ms });
    show();
    if (asks && !document.hidden) tell();
  });
  const beat = (more) => {
    show();
    if (!document.hidden) tell(more);
  };
  beat({ asks: 1 });
  setInterval(beat, beat_ms);
  document.addEventListener("line", ({ detail }) => detail === "up" && beat({ asks: 1 }));
  document.addEventListener("visibilitychange", () => (document.hidden ? tell({ leaves: 1 }) : beat({ asks: 1 })));
  addEventListener("pagehide", () => tell({ leaves: 1 }));
}
