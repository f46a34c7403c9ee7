// Passkeys: a form that asks for a challenge, lets the browser's own dialog answer it, and goes out with the answer.
// `data-passkey` is where the challenge comes from; whether one is made or used, the challenge says.

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");
const known = (list = []) => list.map((one) => ({ ...one, id: bytes(one.id) }));

const make = (options) =>
  navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: known(options.excludeCredentials),
    },
  });
const use = (options) =>
  navigator.credentials.get({
    publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials: known(options.allowCredentials) },
  });

/** What the server reads: every buffer of the answer as base64url. */
const told = ({ id, rawId, type, response, ...rest }, extensions) => {
  const said = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) said[name] = text(response[name]);
  }
  return JSON.stringify({ id, rawId: text(rawId), type, response: said, clientExtensionResults: extensions });
};

const say = (form, sentence) => {
  const note = form.querySelector("[data-passkey-says]");
  note.lastElementChild.textContent = sentence;
  note.hidden = false;
};
const why = { InvalidStateError: "known", SecurityError: "elsewhere" };

async function answered(form) {
  const reply = await fetch(form.dataset.passkey, { method: "POST", body: new FormData(form) });
  const { options, refusal } = await reply.json();
  if (!options) {
    say(form, refusal);
    return "";
  }
  try {
    const credential = await (options.user ? make(options) : use(options));
    return told(credential, credential.getClientExtensionResults());
  } catch (fault) {
    say(form, form.dataset[why[fault.name] ?? "left"]);
    return "";
  }
}

async function go(form) {
  const buttons = [...document.querySelectorAll("[data-needs-passkeys]")];
  for (const button of buttons) button.disabled = true;
  form.querySelector("[data-passkey-says]").hidden = true;
  try {
    const answer = await answered(form);
    if (answer) {
      form.elements.credential.value = answer;
      form.submit();
      return;
    }
  } catch {
    say(form, form.dataset.fault); // no network, or an answer that is none
  }
  for (const button of buttons) button.disabled = false;
}

if (window.PublicKeyCredential) {
  for (const shown of document.querySelectorAll("[data-needs-passkeys]")) shown.hidden = false;
  for (const note of document.querySelectorAll("[data-without-passkeys]")) note.hidden = true;
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      go(form);
    });
  }
}
