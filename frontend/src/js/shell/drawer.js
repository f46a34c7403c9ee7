// A drawer has its own address: a link with `data-drawer` opens it over the page, back closes it.
// Opened straight from its address, the server has already put it in the page.
const drawer = document.getElementById("drawer");
let pushed = false;

async function fill(url) {
  const answer = await fetch(url, { headers: { "X-Drawer": "1" } });
  if (!answer.ok) return location.assign(url);
  drawer.innerHTML = await answer.text();
  drawer.showModal();
}

if (drawer) {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-drawer]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if (drawer.open) drawer.close("swap");
    await fill(link.href);
    history.pushState({ drawer: link.href }, "", link.href);
    pushed = true;
  });
  drawer.addEventListener("close", () => {
    if (drawer.returnValue === "swap" || drawer.returnValue === "back") {
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
