// A drawer has its own address: a link with `data-drawer` opens it over the page, back closes it.
// Opened straight from its address, the server has already put it in the page.
import { htmx } from "./requests.js";

const drawer = document.getElementById("drawer");
let pushed = false;

async function fill(url) {
  const answer = await fetch(url, { headers: { "X-Drawer": "1" } });
  if (!answer.ok || answer.redirected) return location.assign(url);
  drawer.innerHTML = await answer.text();
  htmx.process(drawer);
  if (!drawer.open) drawer.showModal();
  drawer.querySelector("[autofocus]")?.focus();
  drawer.dispatchEvent(new CustomEvent("filled"));
}

/** Open what `url` answers in the drawer; `address` is what the page is called meanwhile. An open drawer changes its content. */
export async function openDrawer(url, address = url) {
  const change = drawer.open;
  await fill(url);
  if (!drawer.open) return;
  history[change ? "replaceState" : "pushState"]({ drawer: url }, "", address);
  pushed ||= !change;
}

/** Open what the page's own address asks for: closing it leads to `under`. */
export async function openFromAddress(url, under) {
  drawer.dataset.under = under;
  await fill(url);
}

if (drawer) {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-drawer]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    await openDrawer(link.href);
  });
  drawer.addEventListener("close", () => {
    if (drawer.returnValue === "back") {
      drawer.returnValue = "";
      return;
    }
    if (pushed) history.back();
    else if (drawer.dataset.under) history.replaceState(null, "", drawer.dataset.under);
    pushed = false;
  });
  addEventListener("popstate", ({ state }) => {
    if (state?.drawer) fill(state.drawer).then(() => (pushed = true));
    else if (drawer.open) {
      pushed = false;
      drawer.close("back");
    }
  });
  if (drawer.hasAttribute("open")) {
    drawer.removeAttribute("open"); // from an open element to a modal one, which holds the focus
    drawer.showModal();
  }
}
