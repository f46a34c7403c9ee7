// Times that run on their own: `data-until` counts down, `data-since` counts up, a dial empties, the page's clock ticks.
// Reduced motion does not stop them: the seconds still count, in text.
const skew_ms = Number(document.body.dataset.now ?? Date.now()) - Date.now(); // the server's clock decides

const two = (n) => String(n).padStart(2, "0");
export function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

function tick() {
  const now = Date.now() + skew_ms;
  for (const element of document.querySelectorAll("[data-until]")) {
    const left = (Date.parse(element.dataset.until) - now) / 1000;
    const words = left >= 0 ? element.dataset.ahead : (element.dataset.late ?? element.dataset.ahead);
    const place = element.querySelector("[data-text]") ?? element;
    write(place, words.replace("{t}", clock(left >= 0 || !element.dataset.late ? left : -left)));
    const holder = element.closest(".fi-sla");
    if (holder) tone(holder, left, Number(element.dataset.total ?? 300));
  }
  for (const element of document.querySelectorAll("[data-since]")) {
    write(element, (element.dataset.words ?? "{t}").replace("{t}", clock((now - Date.parse(element.dataset.since)) / 1000)));
  }
  for (const dial of document.querySelectorAll("[data-dial]")) {
    const total = Number(dial.dataset.total);
    const left = Math.min(Math.max((Date.parse(dial.dataset.dial) - now) / 1000, 0), total);
    dial.querySelector("circle:nth-of-type(2)").setAttribute("stroke-dasharray", `${left.toFixed(1)} ${total}`);
    write(dial.querySelector("[data-text]"), clock(left));
  }
  for (const element of document.querySelectorAll("[data-clock]")) {
    write(element, element.dataset.clock.replace("{t}", new Date(now).toLocaleTimeString("it-IT", { timeZone: document.body.dataset.zone })));
  }
}

function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function tone(holder, left, total) {
  holder.classList.toggle("is-ok", left >= total * 0.4);
  holder.classList.toggle("is-warn", left >= 0 && left < total * 0.4);
  holder.classList.toggle("is-bad", left < 0);
  const ring = holder.querySelector(".fi-clock circle:nth-of-type(2)");
  ring?.setAttribute("stroke-dasharray", `${Math.max(0, Math.min(100, (left / total) * 100)).toFixed(0)} 100`);
}

tick();
setInterval(tick, 1000);
document.addEventListener("live:changed", tick);
