// What the public form could not send yet: kept on this device, shown, sent again by hand or by itself.

const place = document.getElementById("kept");
const list = place.querySelector("ul");
const row = place.querySelector("template").content;
const hour = new Intl.DateTimeFormat("it-IT", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("it-IT", { day: "numeric", month: "long" });

function when(item) {
  const moment = new Date(item.createdAt);
  const isToday = moment.toDateString() === new Date().toDateString();
  const tries = item.attempts === 1 ? "1 tentativo" : `${item.attempts} tentativi`;
  const reason = item.permanent ? `. ${item.lastError}` : "";
  return `${isToday ? "oggi" : day.format(moment)} alle ${hour.format(moment)}, ${tries}${reason}`;
}

function show() {
  const forms = window.FilieraForms && window.FilieraForms.current;
  if (!forms) return;
  const offline = !navigator.onLine;
  const kept = forms.queue.all().filter((item) => item.status === "failed" || (offline && item.status !== "sent"));
  place.hidden = !kept.length;
  for (const said of place.querySelectorAll("[data-when]")) said.hidden = (said.dataset.when === "offline") !== offline;
  list.replaceChildren(
    ...kept.map((item) => {
      const line = row.cloneNode(true).firstElementChild;
      line.querySelector("[data-part=what]").textContent = [item.data.servizio, item.data.pacchetto].filter(Boolean).join(", ");
      line.querySelector("[data-part=when]").textContent = when(item);
      line.querySelector("button").addEventListener("click", () => forms.resend(item.id).then(show));
      return line;
    }),
  );
}

for (const name of ["filiera:queued", "filiera:sent", "filiera:retrying", "filiera:failed"]) document.addEventListener(name, show);
for (const name of ["online", "offline", "load"]) addEventListener(name, show);
