// A lead beside the list: a click on its row, P on the row or card with the keyboard, Shift on any link to a lead.
// `accanto` in the address says who, so that it can be sent to somebody, and back closes it.
import { openDrawer, openFromAddress } from "./drawer.js";
import { keysOn, name } from "./keys.js";

const drawer = document.getElementById("drawer");
const lead = /^\/leads\/([0-9a-f-]{36})$/;
const place = "[data-row], .fi-deal[data-deal]";
const wide = matchMedia("(min-width: 768px)");

const idOf = (link) => (link?.origin === location.origin ? (lead.exec(link.pathname)?.[1] ?? null) : null);
const linkIn = (element) => [...(element?.querySelectorAll("a[href]") ?? [])].find(idOf);
const linkTo = (id) => [...document.querySelectorAll(`#main a[href*="/leads/${id}"]`)].find(idOf);

function addressWith(id) {
  const address = new URL(location.href);
  address.searchParams.delete("accanto");
  if (id) address.searchParams.set("accanto", id);
  return address.href;
}

/** The list is known to the server by its filters; of other pages the neighbours are those that stand there. */
const source = (id) => `/leads/${id}/accanto${document.getElementById("lead-rows") ? new URL(addressWith()).search : "?da=pagina"}`;

const peek = (id) => openDrawer(source(id), addressWith(id));
const shown = () => drawer.open && drawer.querySelector("[data-peek]")?.dataset.peek;

/** Who stands before or after on this page, in the same column where there are columns. */
function neighbour(id, step) {
  const here = linkTo(id)?.closest(place);
  const all = [...(here?.closest(".fi-col, [data-list]")?.querySelectorAll(place) ?? [])];
  return idOf(linkIn(all[all.indexOf(here) + step]));
}

if (drawer) {
  drawer.addEventListener("filled", () => {
    const id = shown();
    if (!id) return;
    for (const button of drawer.querySelectorAll("[data-step]")) {
      button.dataset.lead ||= neighbour(id, Number(button.dataset.step)) ?? "";
      button.hidden = !button.dataset.lead;
    }
    document.querySelectorAll(".is-focus").forEach((other) => other.classList.remove("is-focus"));
    const here = linkTo(id)?.closest(place);
    here?.classList.add("is-focus");
    here?.scrollIntoView({ block: "nearest" });
  });
  drawer.addEventListener("close", () => {
    const here = linkTo(drawer.querySelector("[data-peek]")?.dataset.peek)?.closest(place);
    (here?.matches("[tabindex]") ? here : linkIn(here))?.focus({ preventScroll: true });
  });
  document.addEventListener("click", (event) => {
    const { target } = event;
    const step = target.closest("[data-step]");
    if (step) return peek(step.dataset.lead);
    const link = target.closest("a[href]");
    if (link && event.shiftKey && idOf(link) && !drawer.contains(link)) {
      event.preventDefault();
      return peek(idOf(link));
    }
    const row = target.closest("#lead-rows [data-row]");
    if (!row || !wide.matches || event.ctrlKey || event.metaKey || getSelection().toString()) return;
    if (!target.closest("a, button, input, select, label, .fi-celledit")) peek(idOf(linkIn(row)));
  });
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || !keysOn() || name(event) !== "p" || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select")) return;
    const link = linkIn(document.querySelector(`#main :is(${place}).is-focus`));
    if (!link) return;
    event.preventDefault();
    peek(idOf(link));
  });
  const asked = new URLSearchParams(location.search).get("accanto");
  if (asked && lead.test(`/leads/${asked}`)) openFromAddress(source(asked), addressWith());
}
