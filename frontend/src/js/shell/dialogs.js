// Native dialogs: `data-opens="id"` opens one, a click outside or Esc closes it, focus comes back by itself.
document.addEventListener("click", ({ target }) => {
  const opener = target.closest("[data-opens]");
  if (opener) open(document.getElementById(opener.dataset.opens));
  const closer = target.closest("[data-closes]");
  if (closer) closer.closest("dialog").close();
  if (target instanceof HTMLDialogElement && target.dataset.static === undefined) target.close();
  const menu = target.closest("[popover] a, [popover] button[type=submit]");
  if (menu) menu.closest("[popover]").hidePopover();
});

export function open(dialog) {
  if (!dialog || dialog.open) return;
  for (const shown of document.querySelectorAll("[popover]:popover-open")) shown.hidePopover();
  dialog.showModal();
  dialog.querySelector("[autofocus]")?.focus();
  dialog.dispatchEvent(new CustomEvent("opened"));
}
