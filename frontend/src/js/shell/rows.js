// Lists under the keyboard: j k move, x selects, e edits, Enter opens. `data-list` holds rows marked `data-row`.
import { keysOn, name } from "./keys.js";

const list = () => document.querySelector("dialog[open] [data-list]") ?? document.querySelector("[data-list]");
const rowsOf = (of) => [...of.querySelectorAll("[data-row]")].filter((row) => row.checkVisibility());

export function focused() {
  return list()?.querySelector("[data-row].is-focus");
}

function move(step) {
  const rows = rowsOf(list());
  if (!rows.length) return;
  const at = rows.indexOf(focused());
  const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
  rows[at]?.classList.remove("is-focus");
  next.classList.add("is-focus");
  next.scrollIntoView({ block: "nearest" });
  (next.querySelector("[data-open]") ?? next.querySelector("a"))?.focus({ preventScroll: true });
}

const actions = {
  j: () => move(1),
  k: () => move(-1),
  x: () => focused()?.querySelector("input[type=checkbox]")?.click(),
  e: () => focused()?.querySelector("[data-edit]")?.click(),
};

document.addEventListener("keydown", (event) => {
  if (!keysOn() || !list() || event.defaultPrevented) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select, dialog:not(:has([data-list]))")) return;
  const key = name(event);
  if (key === "Enter" && focused() && !event.target.closest("a, button")) {
    (focused().querySelector("[data-open]") ?? focused().querySelector("a"))?.click();
    event.preventDefault();
  } else if (actions[key] && !document.querySelector(`[data-key="${key}"]`)) {
    actions[key]();
    event.preventDefault();
  }
});

// Selection: the page's box ticks all, Shift ticks a range, the bar says what and how many.
let last = null;
document.addEventListener("click", (event) => {
  const box = event.target.closest("[data-row] input[type=checkbox][name]");
  if (!box) return;
  const boxes = rowsOf(list()).map((row) => row.querySelector("input[type=checkbox][name]"));
  if (event.shiftKey && last && boxes.includes(last)) {
    const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
    boxes.slice(from, to + 1).forEach((between) => (between.checked = box.checked));
  }
  last = box;
  selection();
});
document.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-select-all]")) return;
  for (const row of rowsOf(list())) row.querySelector("input[type=checkbox][name]").checked = target.checked;
  selection();
});
document.addEventListener("click", ({ target }) => {
  if (!target.closest("[data-select-none]")) return;
  for (const box of list().querySelectorAll("input[type=checkbox]")) box.checked = false;
  selection();
});
// When the whole page is ticked, one more click takes all that the list finds, beyond what is shown.
document.addEventListener("click", ({ target }) => {
  if (target.closest("[data-select-matching]")) everything(true);
});
function everything(wanted) {
  const field = document.querySelector("[data-bulk] [name=tutti]");
  if (!field) return;
  field.disabled = !wanted;
  const label = document.querySelector("[data-bulk-count]");
  if (wanted) label.textContent = label.dataset.all;
  document.querySelector("[data-select-matching]").hidden = true;
}
// Two to fifty records can become one: the page of merges is given their ids.
document.addEventListener("click", ({ target }) => {
  const merge = target.closest("[data-merges]");
  if (!merge) return;
  const ids = [...list().querySelectorAll("input[name=lead]:checked")].map((box) => box.value);
  location.assign(`${merge.dataset.merges}?ids=${ids.join(",")}`);
});
// A choice in the bar arms its button; choosing another disarms the first.
document.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-does]")) return;
  for (const other of document.querySelectorAll("[data-does]")) if (other !== target) other.value = "";
  const button = document.querySelector("[data-does-chosen]");
  button.value = target.dataset.does;
  button.hidden = button.disabled = !target.value;
});

function selection() {
  const rows = rowsOf(list());
  const chosen = rows.filter((row) => row.querySelector("input[type=checkbox][name]")?.checked);
  for (const row of rows) row.classList.toggle("is-selected", chosen.includes(row));
  const all = document.querySelector("[data-select-all]");
  if (all) {
    all.checked = chosen.length === rows.length && rows.length > 0;
    all.indeterminate = chosen.length > 0 && chosen.length < rows.length;
  }
  const bar = document.querySelector("[data-bulk]");
  if (!bar) return;
  everything(false);
  const merge = bar.querySelector("[data-merges]");
  if (merge) merge.hidden = chosen.length < 2 || chosen.length > 50;
  const matching = bar.querySelector("[data-select-matching]");
  if (matching) matching.hidden = chosen.length < rows.length;
  bar.hidden = chosen.length === 0;
  const label = bar.querySelector("[data-bulk-count]");
  label.textContent = (chosen.length === 1 ? label.dataset.one : label.dataset.many).replace("{n}", chosen.length);
}
