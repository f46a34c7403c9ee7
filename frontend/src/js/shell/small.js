// Small behaviours, each named in the HTML.

// A notice on top while the line is down: work is kept, nothing covers the page.
// It waits a moment, so that a page that is being left or a restart of the server says nothing.
const notice = document.getElementById("offline");
const patience_ms = 4000;
let saying;
const line = (down) => {
  clearTimeout(saying);
  if (!notice) return;
  if (down) saying = setTimeout(() => (notice.hidden = false), patience_ms);
  else notice.hidden = true;
};
addEventListener("offline", () => line(true));
addEventListener("online", () => line(false));
document.addEventListener("line", ({ detail }) => line(detail === "down"));

document.addEventListener("click", async ({ target }) => {
  // The password shown while one writes it.
  const eye = target.closest("[data-reveals]");
  if (eye) {
    const field = document.getElementById(eye.dataset.reveals);
    field.type = field.type === "password" ? "text" : "password";
    eye.setAttribute("aria-pressed", field.type === "text");
  }
  // A text into the clipboard, with a word of answer.
  const copy = target.closest("[data-copies]");
  if (copy) {
    await navigator.clipboard.writeText(copy.dataset.copies);
    document.dispatchEvent(new CustomEvent("toast", { detail: { text: copy.dataset.copied } }));
  }
});

document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-submits]")) target.form.requestSubmit();
});

// A field edited in place: Enter saves, Esc brings back what was there (its button does it, here is the key).
document.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Enter" && event.target.matches("[data-enter]")) {
    event.preventDefault();
    event.target.dispatchEvent(new CustomEvent("enter", { bubbles: true }));
  }
  // Tab saves too and opens the next value of the row; a refusal keeps one where one is.
  if (event.key === "Tab" && event.target.matches(".fi-celledit [data-enter]")) {
    const row = event.target.closest("tr");
    const cells = [...row.querySelectorAll(".fi-cell, .fi-celledit")];
    const at = cells.indexOf(event.target.closest(".fi-celledit"));
    const next = cells[at + (event.shiftKey ? -1 : 1)]?.closest("td").id;
    if (next) {
      event.preventDefault();
      const place = event.target.closest("td").id;
      const go = () => {
        document.removeEventListener("htmx:afterSettle", go);
        if (!document.getElementById(place)?.matches(".fi-celledit")) document.getElementById(next)?.querySelector(".fi-cell")?.click();
      };
      document.addEventListener("htmx:afterSettle", go);
      event.target.dispatchEvent(new CustomEvent("enter", { bubbles: true }));
    }
  }
  if (event.key !== "Escape") return;
  const back = event.target.closest?.(".is-editing, .fi-celledit")?.querySelector(".fi-esc");
  if (!back) return;
  event.preventDefault();
  back.click();
});

// What one asked to edit is selected, so that typing replaces it.
document.addEventListener("htmx:afterSettle", () => {
  const field = document.activeElement;
  if (field?.matches?.("input[autofocus]") && field.closest(".is-editing, .fi-celledit")) field.select();
});

// What was typed in place is shown as saved at once; the answer confirms it, or the field comes back with what was typed.
const SAVES = ".fi-celledit [data-enter], .is-editing > form";
document.addEventListener("htmx:beforeRequest", ({ target }) => {
  if (!target.matches(SAVES)) return;
  const place = target.closest(".fi-celledit, .is-editing");
  place.dataset.typed = place.querySelector("[name=value]").value || "–";
  place.classList.add("is-optimistic");
});
document.addEventListener("htmx:afterRequest", ({ target, detail }) => {
  if (!target.matches(SAVES) || detail.successful) return;
  const place = target.closest(".fi-celledit, .is-editing");
  place.classList.remove("is-optimistic");
  place.querySelector("[name=value]").focus();
});

// Of tabs that do not fit, the current one is in sight.
for (const row of document.querySelectorAll(".fi-views")) {
  const here = row.querySelector("[aria-current]");
  if (here && row.scrollWidth > row.clientWidth) row.scrollLeft = here.offsetLeft - row.clientWidth / 2 + here.offsetWidth / 2;
}
