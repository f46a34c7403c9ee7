// Ctrl K: people, pages and actions. The server answers with the list; arrows choose, Enter opens.
import { htmx } from "./requests.js";
import { open } from "./dialogs.js";

const palette = document.getElementById("palette");

// The records opened last, per brand, in this browser: what the empty palette begins with.
const shelf = `filiera-seen:${document.body.dataset.brand}`;
const most = 8;
const seen = () => (localStorage.getItem(shelf) ?? "").split(",").filter(Boolean);
const record = document.querySelector("[data-record]");
if (record) {
  const others = seen().filter((one) => one !== record.dataset.record);
  localStorage.setItem(shelf, [record.dataset.record, ...others].slice(0, most).join(","));
}

if (palette) {
  const field = palette.querySelector("input");
  const items = () => [...palette.querySelectorAll("[role=option]")];
  const chosen = () => palette.querySelector("[role=option][aria-selected=true]");

  const choose = (item) => {
    chosen()?.setAttribute("aria-selected", "false");
    item?.setAttribute("aria-selected", "true");
    item?.scrollIntoView({ block: "nearest" });
    if (item) field.setAttribute("aria-activedescendant", item.id);
    else field.removeAttribute("aria-activedescendant");
  };

  palette.addEventListener("opened", () => {
    field.select();
    palette.querySelector("[name=recenti]").value = seen().filter((one) => one !== record?.dataset.record).join(",");
    palette.querySelector("[name=scheda]").value = record?.dataset.recordName ?? "";
    htmx.trigger(field, "look");
  });
  palette.addEventListener("htmx:afterSwap", () => choose(items()[0]));
  palette.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(chosen());
    if (event.key === "ArrowDown") choose(all[(at + 1) % all.length]);
    else if (event.key === "ArrowUp") choose(all[(at - 1 + all.length) % all.length]);
    else if (event.key === "Enter") run(chosen(), event.ctrlKey || event.metaKey);
    else return;
    event.preventDefault();
  });
  palette.addEventListener("pointermove", ({ target }) => {
    const item = target.closest("[role=option]");
    if (item && item !== chosen()) choose(item);
  });
  palette.addEventListener("click", ({ target, ctrlKey, metaKey }) => {
    const item = target.closest("[role=option]");
    if (item) run(item, ctrlKey || metaKey);
  });

  const run = (item, elsewhere) => {
    if (!item) return;
    const { href, opensDialog, submitsForm } = item.dataset;
    palette.close();
    if (href) elsewhere ? window.open(href, "_blank", "noopener") : location.assign(href);
    else if (opensDialog) open(document.getElementById(opensDialog));
    else if (submitsForm) document.getElementById(submitsForm).requestSubmit();
  };
}
