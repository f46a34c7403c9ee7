// The board: a card moves by drag (mouse, pen, long press), by menu (M or its button) or by arrow, and moves back
// with Z. Every way ends in `send`. Columns load more cards as they are scrolled into view.
const board = document.getElementById("board");
if (board) start();

function start() {
  const menu = document.getElementById("move-menu");
  const chosen = new Set(); // ids of the deals that move together
  let lastUndo = null;

  const cardOf = (id) => document.getElementById(`deal-${id}`);
  const columnOf = (element) => element.closest(".fi-col");
  const columnFor = (stage) => board.querySelector(`.fi-col[data-stage="${stage}"]`);
  const cardsOf = (column) => [...column.querySelectorAll(".fi-deal[data-deal]")];
  const say = (text, undo) => document.dispatchEvent(new CustomEvent("toast", { detail: { text, undo } }));
  const words = (name, values) => board.dataset[name].replace(/\{(\w+)\}/g, (_all, key) => values[key]);
  const parse = (html) => {
    const model = document.createElement("template");
    model.innerHTML = html;
    return model.content;
  };

  // ── talking with the server ──

  function post(url, fields) {
    const { "X-CSRFToken": token } = JSON.parse(document.body.getAttribute("hx-headers") ?? "{}");
    return fetch(url, { method: "POST", body: new URLSearchParams(fields), headers: { "X-CSRFToken": token, "X-Board": location.search.slice(1) } });
  }

  /** Send the cards to a stage. Answers the server's words, or null when it could not be reached. */
  async function ask(url, fields) {
    try {
      const answer = await post(url, fields);
      return answer.status < 500 ? await answer.json() : null;
    } catch {
      return null;
    }
  }

  /** Put what the server answered in place: heads of columns, cards where they now belong. */
  function apply({ heads = {}, cards = [] }) {
    for (const [stage, html] of Object.entries(heads)) {
      const column = columnFor(stage);
      column?.querySelector(":scope > header").replaceWith(parse(html));
      const count = document.querySelector(`[data-count="${stage}"]`);
      if (count) count.textContent = column.querySelector("h2 .fi-n").textContent;
    }
    for (const { id, stage, html } of cards) put(id, stage, html);
    for (const column of board.querySelectorAll(".fi-col:not(.is-done)")) {
      column.classList.toggle("is-empty", cardsOf(column).length === 0);
    }
  }

  function put(id, stage, html) {
    const old = cardOf(id);
    const held = old?.contains(document.activeElement);
    const place = columnFor(stage)?.querySelector(".fi-col-cards");
    if (!place || !html) return old?.remove();
    const card = parse(html).firstElementChild;
    if (old && columnOf(old).dataset.stage === stage) old.replaceWith(card);
    else {
      old?.remove();
      place.prepend(card);
    }
    if (held) focus(card);
  }

  // ── moving ──

  /** Move cards to a stage, asking first what closing needs. Everything stays where it was when the person thinks again. */
  async function move(cards, stage) {
    const target = columnFor(stage);
    const going = cards.filter((card) => columnOf(card) !== target);
    if (!target || !going.length || !board.dataset.move) return;
    const closing = { chiuso_vinto: "close-won", perso: "close-lost" }[target.dataset.code];
    if (closing) return close(document.getElementById(closing), going, target);
    await send(going, target, {});
  }

  async function send(cards, target, extra) {
    const fields = [["stage", target.dataset.stage], ...cards.map((card) => ["deal", `${card.dataset.deal}:${card.dataset.version}`])];
    const homes = cards.map((card) => ({ card, next: card.nextElementSibling, parent: card.parentElement }));
    // The card is where the hand put it at once; the answer confirms it or brings it back.
    const place = target.querySelector(".fi-col-cards");
    if (place) for (const card of cards) withFocus(card, () => place.prepend(card));
    cards.forEach((card) => card.classList.add("is-saving"));
    const answer = await ask(board.dataset.move, [...fields, ...Object.entries(extra)]);
    cards.forEach((card) => card.classList.remove("is-saving"));
    if (!answer || answer.details) {
      for (const { card, next, parent } of homes.reverse()) withFocus(card, () => parent.insertBefore(card, next?.parentElement === parent ? next : null));
      if (!answer) say(board.dataset.sayDown);
      return answer;
    }
    const next = homes[0].next ?? homes[0].card.previousElementSibling;
    apply(answer);
    lastUndo = answer.undo ?? lastUndo;
    unselect();
    if (answer.text) say(answer.text, answer.undo);
    if (!document.activeElement || document.activeElement === document.body) focus(cardOf(cards[0].dataset.deal) ?? next);
    return answer;
  }

  function withFocus(card, change) {
    const held = card.contains(document.activeElement);
    change();
    if (held) card.focus({ preventScroll: true });
  }

  /** Ask the reason or the amount and the date; Esc and "leave it" change nothing. */
  function close(dialog, cards, target) {
    const form = dialog.querySelector("form");
    form.reset();
    dialog.querySelectorAll("[data-error]").forEach((place) => (place.hidden = true));
    dialog.querySelector("[data-who]").textContent = cards.map((card) => card.dataset.name).join(", ");
    if (form.elements.amount) form.elements.amount.value = cards.length === 1 ? cards[0].dataset.amount : "";
    const submit = async (event) => {
      event.preventDefault();
      const fields = Object.fromEntries(new FormData(form));
      if ("lost_reason" in fields) fields.lost_reason = fields.lost_reason.trim() || fields.choice || "";
      const answer = await send(cards, target, fields);
      if (!answer?.details) return dialog.close();
      for (const place of dialog.querySelectorAll("[data-error]")) {
        const sentences = answer.details[place.dataset.error];
        place.hidden = !sentences;
        place.textContent = sentences?.join(" ") ?? "";
        if (sentences) form.elements[place.dataset.error].focus();
      }
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener("close", () => {
      form.removeEventListener("submit", submit);
      if (cards[0].isConnected) focus(cards[0]);
    }, { once: true });
    dialog.showModal();
    dialog.querySelector("[autofocus]")?.focus();
  }

  async function undo(url) {
    lastUndo = null;
    document.querySelectorAll("#toasts .fi-toast").forEach((toast) => toast.remove());
    const answer = await ask(url, []);
    if (!answer) return say(board.dataset.sayDown);
    apply(answer);
    if (answer.text) say(answer.text);
    if (answer.cards?.[0]) focus(cardOf(answer.cards[0].id));
  }

  // The toast's own button would post and read the page again: here the cards move back in place.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("#toasts [data-undo]");
    if (!button?.dataset.undo.startsWith(board.dataset.undo)) return;
    event.stopImmediatePropagation();
    undo(button.dataset.undo);
  }, true);

  // ── the keyboard ──

  const inField = (element) => element.closest("input, textarea, select, dialog");
  const focused = () => document.activeElement?.closest?.(".fi-deal[data-deal]") ?? board.querySelector(".fi-deal.is-focus");

  function focus(card) {
    board.querySelectorAll(".fi-deal.is-focus").forEach((other) => other !== card && other.classList.remove("is-focus"));
    if (!card) return;
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function walk(step) {
    const card = focused();
    if (!card) return focus(board.querySelector(".fi-deal[data-deal]"));
    const cards = cardsOf(columnOf(card));
    focus(cards[Math.min(Math.max(cards.indexOf(card) + step, 0), cards.length - 1)]);
  }

  function neighbour(column, step) {
    const columns = [...board.querySelectorAll(".fi-col")];
    return columns[columns.indexOf(column) + step];
  }

  /** Look into the next column that has cards, at the same height. */
  function look(step) {
    const card = focused();
    if (!card) return walk(0);
    const row = cardsOf(columnOf(card)).indexOf(card);
    let column = columnOf(card);
    do column = neighbour(column, step);
    while (column && !cardsOf(column).length);
    if (column) focus(cardsOf(column)[row] ?? cardsOf(column).at(-1));
  }

  const group = (card) => (chosen.has(card.dataset.deal) ? [...chosen].map(cardOf).filter(Boolean) : [card]);
  const push = (step) => {
    const card = focused();
    const column = card && neighbour(columnOf(card), step);
    if (column) move(group(card), column.dataset.stage);
  };

  function select(card) {
    const on = !chosen.delete(card.dataset.deal);
    if (on) chosen.add(card.dataset.deal);
    card.classList.toggle("is-selected", on);
    if (chosen.size) say(words("saySelected", { n: chosen.size }));
  }

  function unselect() {
    chosen.clear();
    board.querySelectorAll(".is-selected").forEach((card) => card.classList.remove("is-selected"));
  }

  const hint = document.getElementById("deal-keys")?.content.firstElementChild;
  const keys = {
    j: () => walk(1),
    k: () => walk(-1),
    ArrowDown: () => walk(1),
    ArrowUp: () => walk(-1),
    ArrowRight: () => push(1),
    ArrowLeft: () => push(-1),
    "Shift+ArrowRight": () => look(1),
    "Shift+ArrowLeft": () => look(-1),
    m: () => focused() && board.dataset.move && openMenu(focused()),
    x: () => focused() && select(focused()),
    z: () => lastUndo && undo(lastUndo),
    Enter: () => focused()?.querySelector("h3 a").click(),
    Escape: () => unselect(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.body.dataset.keys === "off" && !event.target.closest(".fi-deal")) return;
    if (menu.matches(":popover-open")) return;
    if (inField(event.target) || (event.key === "Enter" && event.target.closest("a, button"))) return;
    const moving = event.key.startsWith("Arrow");
    // Arrows scroll the page unless a card has the focus.
    if (moving && !event.target.closest(".fi-deal")) return;
    const act = keys[(event.shiftKey && moving ? "Shift+" : "") + (event.key.length === 1 ? event.key.toLowerCase() : event.key)];
    if (!act) return;
    event.preventDefault();
    act();
  });

  board.addEventListener("focusin", ({ target }) => {
    const card = target.closest(".fi-deal[data-deal]");
    board.querySelectorAll(".fi-deal.is-focus").forEach((other) => other.classList.toggle("is-focus", other === card));
    card?.classList.add("is-focus");
    // The keys stand on the card that has the keyboard, not on one that was merely clicked.
    if (card && target.matches(":focus-visible") && board.dataset.move) card.append(hint);
    else hint?.remove();
  });

  // ── the menu ──

  const items = () => [...menu.querySelectorAll("[role=menuitem]:not([hidden])")];
  let menuCard = null;

  function openMenu(card) {
    menuCard = card;
    const here = columnOf(card).dataset.stage;
    for (const item of menu.querySelectorAll("[role=menuitem]")) item.hidden = item.dataset.stage === here;
    menu.showPopover();
    const box = card.getBoundingClientRect();
    menu.style.left = `${Math.min(box.left + 12, innerWidth - menu.offsetWidth - 8)}px`;
    menu.style.top = `${Math.max(8, Math.min(box.top + 32, innerHeight - menu.offsetHeight - 8))}px`;
    items()[0].focus();
  }

  function closeMenu() {
    menu.hidePopover();
    if (menuCard?.isConnected) focus(menuCard);
  }

  function pick(item) {
    closeMenu();
    move(group(menuCard), item.dataset.stage);
  }

  board.addEventListener("click", ({ target }) => {
    const button = target.closest(".fi-deal-menu");
    if (button) openMenu(button.closest(".fi-deal"));
  });
  menu.addEventListener("click", ({ target }) => target.closest("[role=menuitem]") && pick(target.closest("[role=menuitem]")));
  menu.addEventListener("keydown", (event) => {
    const list = items();
    const at = list.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
    const digit = list.find((item) => item.dataset.digit === event.key);
    if (step) list[(at + step + list.length) % list.length].focus();
    else if (digit) pick(digit);
    else if (event.key === "Escape" || event.key === "Tab" || event.key === "m") closeMenu();
    else if (event.key === "Enter" || event.key === " ") pick(document.activeElement);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  document.addEventListener("pointerdown", ({ target }) => {
    if (menu.matches(":popover-open") && !menu.contains(target)) menu.hidePopover();
  });

  // ── drag ──

  const far_px = 5; // a hand that shakes is not a drag
  const hold_ms = 350; // touch: longer than a tap, shorter than patience
  const edge_px = 60;
  let drag = null;

  board.addEventListener("pointerdown", (event) => {
    const card = event.target.closest(".fi-deal[data-deal]");
    if (!card || event.button || event.target.closest("button") || !card.querySelector(".fi-deal-menu")) return;
    drag = { card, cards: group(card), x: event.clientX, y: event.clientY, pointer: event.pointerId, touch: event.pointerType === "touch" };
    if (drag.touch) drag.timer = setTimeout(() => lift(drag.x, drag.y), hold_ms);
  });

  document.addEventListener("pointermove", (event) => {
    if (!drag || event.pointerId !== drag.pointer) return;
    const away = Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > far_px;
    if (!drag.ghost && away) {
      if (drag.touch) return drop(false); // the finger scrolls
      lift(drag.x, drag.y);
    }
    if (drag?.ghost) carry(event.clientX, event.clientY);
  });
  document.addEventListener("pointerup", (event) => drag && event.pointerId === drag.pointer && drop(true));
  document.addEventListener("pointercancel", (event) => drag && event.pointerId === drag.pointer && drop(false));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !drag?.ghost) return;
    event.preventDefault();
    drop(false);
  });
  // Once a card is in the hand, the finger carries it and no longer scrolls.
  board.addEventListener("touchmove", (event) => drag?.ghost && event.preventDefault(), { passive: false });
  board.addEventListener("contextmenu", (event) => drag?.touch && event.preventDefault());
  board.addEventListener("dragstart", (event) => event.preventDefault());

  function lift(x, y) {
    const box = drag.card.getBoundingClientRect();
    drag.grip = { x: x - box.left, y: y - box.top };
    drag.ghost = drag.card.cloneNode(true);
    drag.ghost.removeAttribute("id");
    drag.ghost.setAttribute("aria-hidden", "true");
    drag.ghost.classList.add("is-lifted");
    drag.ghost.classList.remove("is-focus");
    drag.ghost.querySelector(".fi-deal-keys")?.remove();
    drag.ghost.style.width = `${box.width}px`;
    if (drag.cards.length > 1) drag.ghost.dataset.many = drag.cards.length;
    document.body.append(drag.ghost);
    getSelection().removeAllRanges();
    drag.mark = document.createElement("div");
    drag.mark.className = "fi-drop";
    drag.cards.forEach((card) => card.classList.add("is-away"));
    document.body.classList.add("fi-carrying");
    carry(x, y);
    scrollAtEdges();
  }

  function carry(x, y) {
    drag.at = { x, y };
    drag.ghost.style.transform = `translate(${x - drag.grip.x}px, ${y - drag.grip.y}px) rotate(2.2deg)`;
    const column = document.elementsFromPoint(x, y).find((element) => element.matches?.(".fi-col")) ?? null;
    if (column === drag.column) return;
    drag.column?.classList.remove("is-target");
    drag.mark.remove();
    drag.column = column;
    if (!column || column === columnOf(drag.card)) return;
    column.classList.add("is-target");
    drag.mark.textContent = words("sayDrop", { stage: column.dataset.name });
    column.querySelector(":scope > header").after(drag.mark);
  }

  function scrollAtEdges() {
    if (!drag?.ghost) return;
    const { x, y } = drag.at;
    const box = board.getBoundingClientRect();
    const pull = (near, low, high) => (near < low + edge_px ? near - low - edge_px : near > high - edge_px ? near - high + edge_px : 0) / 4;
    board.scrollLeft += pull(x, Math.max(box.left, 0), Math.min(box.right, innerWidth));
    scrollBy(0, pull(y, 50, innerHeight));
    carry(x, y);
    requestAnimationFrame(scrollAtEdges);
  }

  function drop(here) {
    const { card, cards, column, ghost, mark, timer } = drag;
    clearTimeout(timer);
    drag = null;
    if (!ghost) return;
    ghost.remove();
    mark.remove();
    column?.classList.remove("is-target");
    cards.forEach((each) => each.classList.remove("is-away"));
    document.body.classList.remove("fi-carrying");
    // The click that ends a drag must not open the record.
    addEventListener("click", (event) => { event.preventDefault(); event.stopPropagation(); }, { capture: true, once: true });
    setTimeout(() => dispatchEvent(new Event("click")), 0);
    if (here && column && column !== columnOf(card)) move(cards, column.dataset.stage);
  }

  // ── a new card on top of a column ──

  board.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-quick-add]");
    if (!button) return;
    const column = columnOf(button);
    const open = column.querySelector(".fi-quickadd");
    if (open) return open.querySelector("input").focus();
    document.querySelector(".fi-quickadd:not(template *)")?.remove();
    const form = document.getElementById("quick-add").content.firstElementChild.cloneNode(true);
    column.querySelector(".fi-col-cards").prepend(form);
    column.classList.remove("is-empty");
    form.querySelector("input").focus();
    const leave = () => { form.remove(); column.classList.toggle("is-empty", !cardsOf(column).length); button.isConnected && button.focus(); };
    form.querySelector("[data-cancel]").addEventListener("click", leave);
    form.addEventListener("keydown", (event) => event.key === "Escape" && leave());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const save = form.querySelector("[type=submit]");
      save.disabled = true;
      const answer = await ask(board.dataset.add, [["stage", column.dataset.stage], ...new FormData(form)]);
      save.disabled = false;
      const fault = form.querySelector(".fi-field-error");
      if (!answer?.cards) {
        fault.textContent = answer ? (Object.values(answer.details ?? {}).flat()[0] ?? answer.text) : board.dataset.sayDown;
        fault.hidden = false;
        const name = Object.keys(answer?.details ?? {})[0];
        return form.elements[name]?.focus();
      }
      form.remove();
      apply(answer);
      if (answer.text) say(answer.text);
      focus(cardOf(answer.cards[0].id));
    });
  });

  // ── more cards as they come into view ──

  const sight = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) load(target);
  }, { rootMargin: "400px 0px" });
  const watchMore = (root) => root.querySelectorAll("[data-more]").forEach((mark) => sight.observe(mark));
  watchMore(board);

  async function load(mark) {
    sight.unobserve(mark);
    try {
      const answer = await fetch(mark.dataset.more);
      if (!answer.ok) throw new Error(answer.status);
      const more = parse(await answer.text());
      for (const card of more.querySelectorAll(".fi-deal[data-deal]")) cardOf(card.dataset.deal) && card.remove();
      const column = columnOf(mark);
      mark.replaceWith(more);
      watchMore(column);
    } catch {
      setTimeout(() => sight.observe(mark), 3000);
    }
  }

  // ── what others do, while one looks ──

  const bars = new Map(); // stage → cards that wait to be shown

  async function refresh() {
    if (drag?.ghost || document.hidden || document.querySelector("dialog[open], .fi-quickadd")) return;
    const answer = await fetch(location.href, { headers: { "X-Live": "1" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const column of board.querySelectorAll(".fi-col")) {
      const update = fresh.getElementById(column.id);
      if (!update) continue;
      const [head, newHead] = [column, update].map((each) => each.querySelector(":scope > header"));
      if (head.outerHTML !== newHead.outerHTML && !head.contains(document.activeElement)) head.replaceWith(newHead);
      const cards = cardsOf(update);
      const arrived = [];
      for (const card of cards) {
        const old = cardOf(card.dataset.deal);
        if (!old) arrived.push(card);
        else if (columnOf(old) !== column) { old.remove(); arrived.push(card); }
        else if (old.dataset.version !== card.dataset.version || old.textContent !== card.textContent) {
          const held = old.contains(document.activeElement);
          old.replaceWith(card);
          if (held) card.focus({ preventScroll: true });
        }
      }
      // What the reading does not show, above the last card that it shows, has left the column.
      const shown = new Set(cards.map((card) => card.dataset.deal));
      const last = cards.length ? cardsOf(column).findLastIndex((card) => shown.has(card.dataset.deal)) : cardsOf(column).length;
      cardsOf(column).slice(0, last).forEach((card) => shown.has(card.dataset.deal) || card.contains(document.activeElement) || card.remove());
      if (arrived.length) wait(column, arrived);
    }
  }

  function wait(column, cards) {
    bars.set(column.dataset.stage, cards);
    let bar = column.querySelector(".fi-newbar");
    if (!bar) {
      bar = document.createElement("button");
      bar.type = "button";
      bar.className = "fi-newbar is-alone";
      bar.dataset.key = "n";
      bar.addEventListener("click", () => {
        bar.remove();
        column.querySelector(".fi-col-cards").prepend(...bars.get(column.dataset.stage));
        column.classList.remove("is-empty");
        focus(cardsOf(column)[0]);
      });
      column.querySelector(":scope > header").after(bar);
    }
    bar.textContent = words("sayNew", { n: cards.length });
  }

  let pending = null;
  for (const topic of ["board", "leads", "calls"]) {
    document.addEventListener(`live:${topic}`, () => {
      pending ??= setTimeout(() => { pending = null; refresh().catch(() => {}); }, 900);
    });
  }

  // ── the phone: one column at a time ──

  const picks = [...document.querySelectorAll(".fi-colpick a")];
  for (const pick of picks) {
    pick.addEventListener("click", (event) => {
      event.preventDefault();
      document.querySelector(pick.hash)?.scrollIntoView({ behavior: "smooth", inline: "center", block: "nearest" });
    });
  }
  const inView = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      for (const pick of picks) pick.hash === `#${target.id}` ? pick.setAttribute("aria-current", "true") : pick.removeAttribute("aria-current");
      picks.find((pick) => pick.hash === `#${target.id}`)?.scrollIntoView({ inline: "nearest", block: "nearest" });
    }
  }, { root: board, threshold: 0.6 });
  if (matchMedia("(max-width: 767px)").matches) board.querySelectorAll(".fi-col").forEach((column) => inView.observe(column));
}
