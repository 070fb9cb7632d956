// Refusals in plain words, with what can be done about them; and work that is tried again where waiting helps.

import { Problem } from "./api.js";
import { el } from "./elements.js";
import { openKeyDialog } from "./key.js";
import { source, targetOf } from "./words.js";

const COMMAND = "python -m service keys create NAME --scopes";
const LONGEST_WAIT_S = 30;
const running = new WeakMap(); // region → what ends the attempt that it shows

/**
 * Do something, and show in `region` why it fails. Where the service cannot answer now, that is said, and it is asked
 * again when it wants to be; with `byHand`, only when a button is pressed. A later attempt in the same region ends the
 * earlier one.
 *
 * `work` gets an abort signal. Gives its result, or undefined where there is none. `more(problem)` may add elements to
 * what is shown.
 */
export async function attempt(region, work, { byHand = false, more = () => [] } = {}) {
  running.get(region)?.abort();
  const ending = new AbortController();
  running.set(region, ending);
  for (let failures = 0; ; failures += 1) {
    try {
      const result = await work(ending.signal);
      if (ending.signal.aborted) return undefined;
      region.replaceChildren();
      return result;
    } catch (error) {
      if (error.name === "AbortError" || ending.signal.aborted) return undefined;
      if (!(error instanceof Problem)) throw error;
      if (!error.passes) {
        region.replaceChildren(notice(error, more(error)));
        return undefined;
      }
      const wait = Math.min(error.retryAfter ?? 2 ** Math.min(failures, 2), LONGEST_WAIT_S);
      if (!(await waited(region, error, byHand ? Infinity : wait, ending.signal))) return undefined;
    }
  }
}

/** Show nothing in `region` any more, and end what is attempted there. */
export function settle(region) {
  running.get(region)?.abort();
  region.replaceChildren();
}

/** A refusal as people read it. */
export function notice(problem, more = []) {
  const { title, texts } = explained(problem);
  const needsKey = problem.status === 401 || problem.status === 403;
  const button =
    needsKey &&
    el(
      "button",
      { type: "button", onclick: openKeyDialog },
      problem.status === 401 ? "Enter a key" : "Use another key",
    );
  return el(
    "div",
    { class: "notice", role: "alert" },
    el("h3", {}, title),
    texts.map((text) => el("p", {}, text)),
    (button || more.length > 0) && el("p", { class: "buttons" }, button, more),
  );
}

function explained(problem) {
  const { status, code, members } = problem;
  if (code === "key_missing")
    return {
      title: "This service needs an API key",
      texts: ["Enter the one that you were given: it stays in this tab."],
    };
  if (status === 401) return { title: "This key is not valid", texts: ["It is unknown, revoked or expired."] };
  if (status === 403)
    return {
      title: `Your key lacks the scope ${members.scope ?? "that this needs"}`,
      texts: [
        "Whoever runs this service can make one that has it: ",
        el("code", {}, `${COMMAND} recommend,${members.scope ?? "SCOPE"}`),
      ],
    };
  if (code === "balance_reveals")
    return {
      title: `A list that follows ${targetOf(members.value)} would show what is withheld`,
      texts: [
        `Protected here: ${members.applied.map(({ attribute, source: why }) => `${attribute} (${source(why)})`).join(", ")}.`,
        members.allowed.length ? "These would not show it:" : "",
      ].filter(Boolean),
    };
  if (status === 429) return { title: "Too many requests with this key", texts: [sentence(problem.message)] };
  if (status === 0)
    return { title: "The service does not answer", texts: ["It may be starting again, or the network is gone."] };
  if (problem.passes) return { title: "The service cannot answer now", texts: [sentence(problem.message)] };
  return { title: members.title ?? `The service answered ${status}`, texts: [sentence(problem.message)] };
}

function sentence(text) {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

/** Show the refusal and count down; true when it is time, false when something else has begun. */
function waited(region, problem, seconds, signal) {
  return new Promise((resolve) => {
    const button = el("button", { type: "button" }, "Try again now");
    const clock = el("span", { "aria-hidden": "true" });
    const shown = notice(problem, [button, clock]);
    const due = Date.now() + seconds * 1000;
    const finish = (again) => {
      clearInterval(ticking);
      resolve(again);
    };
    const tick = () => {
      const left = Math.ceil((due - Date.now()) / 1000);
      if (left <= 0) finish(true);
      else if (Number.isFinite(left)) clock.textContent = `Asking again in ${left} s`;
    };
    const ticking = setInterval(tick, 250);
    tick();
    button.addEventListener("click", () => finish(true));
    signal.addEventListener("abort", () => finish(false));
    region.replaceChildren(shown);
  });
}
