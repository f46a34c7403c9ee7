// What just happened, in one line at the foot of the page, with its way back where there is one.
// From the server: messages rendered with the page, or the header HX-Trigger: {"toast": {"text", "undo"}}.
import { post } from "./requests.js";

const shownFor_ms = 8000;
const place = document.getElementById("toasts");

function show(text, undo) {
  const toast = document.getElementById("toast-model").content.firstElementChild.cloneNode(true);
  toast.querySelector("[data-text]").textContent = text;
  const back = toast.querySelector("[data-undo]");
  if (undo) back.dataset.undo = undo;
  else back.remove();
  place.replaceChildren(toast);
  start(toast);
}

function start(toast) {
  let timer = setTimeout(() => toast.remove(), shownFor_ms);
  const hold = () => clearTimeout(timer);
  const go = () => (timer = setTimeout(() => toast.remove(), shownFor_ms));
  toast.addEventListener("pointerenter", hold);
  toast.addEventListener("focusin", hold);
  toast.addEventListener("pointerleave", go);
  toast.querySelector("[data-undo]")?.addEventListener("click", async ({ currentTarget }) => {
    const answer = await post(currentTarget.dataset.undo);
    toast.remove();
    if (answer.ok) location.reload();
    else show(document.body.dataset.fault);
  });
}

if (place) {
  place.querySelectorAll(".fi-toast").forEach(start);
  document.addEventListener("toast", ({ detail }) => show(detail.text, detail.undo));
}
