// htmx, without anything the content security policy refuses: no eval, no inline style, no scripts in answers.
import htmx from "htmx.org";

Object.assign(htmx.config, {
  allowEval: false,
  allowScriptTags: false,
  includeIndicatorStyles: false,
  selfRequestsOnly: true,
  historyCacheSize: 0,
  refreshOnHistoryMiss: true,
  scrollBehavior: "auto",
  // A refusal (4xx) carries the same fragment with the sentence in it, so it is shown like any answer.
  responseHandling: [
    { code: "204", swap: false },
    { code: "[23]..", swap: true },
    { code: "400|403|404|409|422", swap: true, error: false },
    { code: "...", swap: false, error: true },
  ],
});

/** Post a form of ours from a script: the token is the one the page already carries. */
export function post(url, fields = {}, options = {}) {
  const body = new URLSearchParams(fields);
  const { "X-CSRFToken": token } = JSON.parse(document.body.getAttribute("hx-headers") ?? "{}");
  return fetch(url, { ...options, method: "POST", body, headers: { "X-CSRFToken": token, "HX-Request": "true" } });
}

/** Tell the page that something failed on the way, in the words the page carries. */
document.addEventListener("htmx:sendError", () => document.dispatchEvent(new CustomEvent("line", { detail: "down" })));
document.addEventListener("htmx:responseError", ({ detail }) => {
  const text = detail.xhr.status === 401 ? null : document.body.dataset.fault;
  if (text) document.dispatchEvent(new CustomEvent("toast", { detail: { text } }));
});

export { htmx };
