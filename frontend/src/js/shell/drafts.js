// What is being written survives a reload: fields with `data-draft="key"` are kept in this browser until they are sent.
const key = (field) => `filiera-draft:${field.dataset.draft}`;
const sign = (field) => field.form?.querySelector("[data-draft-sign]");

for (const field of document.querySelectorAll("[data-draft]")) {
  const kept = localStorage.getItem(key(field));
  if (kept && !field.value) field.value = kept;
  let timer;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => keep(field), 300);
  });
  field.form?.addEventListener("submit", () => {
    clearTimeout(timer);
    localStorage.removeItem(key(field));
  });
}

function keep(field) {
  if (field.value) localStorage.setItem(key(field), field.value);
  else localStorage.removeItem(key(field));
  const note = sign(field);
  if (!note) return;
  const hour = new Date().toLocaleTimeString("it-IT", { hour: "2-digit", minute: "2-digit" });
  note.querySelector("[data-text]").textContent = note.dataset.words.replace("{t}", hour);
  note.hidden = !field.value;
}
