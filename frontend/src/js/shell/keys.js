// Keys are written where they act: data-key="t", "g o", "Alt+1", "Ctrl+Enter" on a link, button or field.
// They never fire inside a field (except those with Ctrl) and can be switched off in the profile menu.
const inField = (element) => element.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
const between_ms = 1200; // the longest pause inside "g o"
let first = null;

export const keysOn = () => document.body.dataset.keys !== "off";

export function name(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && event.key.length > 1) parts.push("Shift");
  // With Alt some layouts give another character: the digit is read from the key itself.
  const digit = event.altKey && /^Digit([1-9])$/.exec(event.code);
  parts.push(digit ? digit[1] : event.key.length === 1 ? event.key.toLowerCase() : event.key);
  return parts.join("+");
}

const matches = (element, key) => element.dataset.key.split("|").includes(key);

function find(key) {
  const scope = document.querySelector("dialog[open]") ?? document;
  // What stands in a closed menu can be reached by its key; what is hidden otherwise (on a phone, switched off) cannot.
  const reachable = (element) => element.checkVisibility() || element.closest("[popover]");
  return [...scope.querySelectorAll("[data-key]")].find((element) => matches(element, key) && reachable(element));
}

function act(element) {
  if (element.matches("input, textarea, select")) element.focus();
  else element.click();
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const key = name(event);
  if (key === "Escape" && document.querySelector(":popover-open")) return; // the browser closes it
  const field = inField(event.target);
  if (field && !key.startsWith("Ctrl")) return;
  if (!keysOn() && key !== "Ctrl+k" && key !== "Ctrl+Enter") return;
  if (field && key === "Ctrl+Enter" && field.form) {
    event.preventDefault();
    field.form.requestSubmit();
    return;
  }
  const pair = first && Date.now() - first.at < between_ms ? `${first.key} ${key}` : null;
  first = { key, at: Date.now() };
  const element = (pair && find(pair)) ?? find(key);
  if (!element) return;
  event.preventDefault();
  first = null;
  act(element);
});
