// Fetches the living part of a simulator's page again every second, and leaves it alone while it is being used.
const live = document.getElementById("live");
let shown = "";

async function refresh() {
  if (document.hidden || live.contains(document.activeElement) || String(getSelection())) return;
  const answer = await fetch("/_sim/live", { headers: { "Accept-Language": document.documentElement.lang } });
  const text = await answer.text();
  if (text === shown) return;
  shown = text;
  live.innerHTML = text;
}

setInterval(() => refresh().catch(() => {}), 1000);
