// The conditions of a filter: a row is cloned from the model, a field says which comparisons and which value it takes.
// What a row does not need is disabled, and so it is not sent.
const builder = document.querySelector("[data-builder]");

const part = (row, name) => row.querySelector(`[name=${name}]`);

function kindOf(row) {
  return part(row, "campo").selectedOptions[0].dataset.kind;
}

function fit(row) {
  const kind = kindOf(row);
  const how = part(row, "come");
  for (const option of how.options) {
    option.hidden = option.disabled = !option.dataset.kinds.split(" ").includes(kind);
  }
  if (how.selectedOptions[0]?.disabled) how.value = [...how.options].find((option) => !option.disabled).value;
  const wanted = how.selectedOptions[0].dataset.bare !== undefined ? "bare" : kind === "moment" ? momentOf(how.value) : kind;
  for (const control of row.querySelectorAll("[data-for]")) {
    control.disabled = !control.dataset.for.split(" ").includes(wanted);
    control.hidden = control.disabled || control.type === "hidden";
  }
}

const momentOf = (how) => (how === "dal" || how === "al" ? "day" : "days");

function add(isGroup) {
  const rows = builder.querySelector("[data-rows]");
  const row = builder.querySelector("template").content.firstElementChild.cloneNode(true);
  const last = Number(rows.lastElementChild?.querySelector("[name=gruppo]").value ?? (isGroup ? 0 : 1));
  part(row, "gruppo").value = isGroup ? last + 1 : last;
  row.querySelector("[data-group]").textContent = part(row, "gruppo").value;
  rows.append(row);
  fit(row);
  part(row, "campo").focus();
}

if (builder) {
  builder.querySelectorAll("[data-rows] [data-condition]").forEach(fit);
  builder.addEventListener("change", ({ target }) => {
    const row = target.closest("[data-condition]");
    if (row && (target.name === "campo" || target.name === "come")) fit(row);
  });
  builder.addEventListener("click", ({ target }) => {
    const adds = target.closest("[data-adds]");
    if (adds) add(adds.dataset.adds === "group");
    target.closest("[data-drops]")?.closest("[data-condition]").remove();
  });
}
