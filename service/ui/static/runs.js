// The list of audits, and how far each has come. It asks again while something runs, less often otherwise, not at all
// out of sight.

import { Problem, ask, withQuery } from "./api.js";
import { announce, byId, el } from "./elements.js";
import { keyNeeded } from "./key.js";
import { attempt } from "./problems.js";
import { verdictBadge } from "./verdicts.js";
import { capital, modelOf, plural, when } from "./words.js";

const BUSY_MS = 1500;
const IDLE_MS = 20000;
const LIMIT = 50;
const MANY = 7;
const STATES = { queued: "waiting", running: "running", failed: "failed", cancelled: "cancelled", done: "done" };

const rows = new Map(); // id → what its row is made of
const ticked = new Set();
let known = new Map(); // id → run
let due = 0;
let tell = {};

/** Make the list work. `tell` has open(id), compare(first, second) and changed(run), called when a run ends. */
export function setUpRuns(listeners) {
  tell = listeners;
  byId("compare").addEventListener("click", () => tell.compare(...ordered()));
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
}

/** Ask for the list now, and from then on by itself. Gives the runs, newest first; null where that was refused. */
export async function refresh() {
  clearTimeout(due);
  const page = await attempt(byId("notice"), (signal) => ask(withQuery("/audit/runs", { limit: LIMIT }), { signal }), {
    more: keyNeeded,
  });
  if (!page) return null;
  show(page.runs);
  const open = page.runs.some(isOpen);
  if (!document.hidden) due = setTimeout(refresh, open ? BUSY_MS : IDLE_MS);
  return page.runs;
}

/** Mark the run that is looked at. */
export function markRun(id) {
  for (const [other, row] of rows) row.item.classList.toggle("chosen", other === id);
}

function isOpen({ status }) {
  return status === "queued" || status === "running";
}

function show(runs) {
  const before = known;
  known = new Map(runs.map((run) => [run.id, run]));
  for (const [id, row] of rows)
    if (!known.has(id)) {
      row.item.remove();
      rows.delete(id);
      ticked.delete(id);
    }
  const list = byId("runs");
  for (const child of list.querySelectorAll(".waiting, .none")) child.remove();
  if (!runs.length) list.append(el("li", { class: "none" }, "No audit yet. The quick look is a good beginning."));
  list.classList.toggle("many", runs.length > MANY);
  runs.forEach((run, place) => {
    const row = rows.get(run.id) ?? newRow(run);
    if (list.children[place] !== row.item) list.insertBefore(row.item, list.children[place] ?? null);
    update(row, run);
    const old = before.get(run.id);
    if (old && isOpen(old) && !isOpen(run)) {
      announce(`The audit of ${modelOf(run)} is ${STATES[run.status]}.`);
      tell.changed(run);
    }
  });
  showCompare();
}

function newRow(run) {
  const name = `${modelOf(run)}, ${when(run.created)}`;
  const tick = el("input", {
    type: "checkbox",
    "aria-label": `Compare ${name}`,
    onchange: () => {
      ticked[tick.checked ? "add" : "delete"](run.id);
      showCompare();
    },
  });
  const state = el("div", { class: "state" });
  const open = el(
    "button",
    { type: "button", "aria-label": `Show the result of ${name}`, onclick: () => tell.open(run.id, true) },
    "Show",
  );
  const end = el("button", { type: "button", class: "quiet", onclick: () => remove(run.id) });
  const item = el(
    "li",
    { class: "run", "data-run": run.id },
    tick,
    el("div", {}, el("h3", {}, modelOf(run)), el("p", { class: "meta" }, describe(run))),
    state,
    el("div", { class: "buttons" }, open, end),
  );
  const row = { item, tick, state, open, end, name, shown: null };
  rows.set(run.id, row);
  return row;
}

/** Change what has changed, and leave the rest: what has the focus keeps it. */
function update(row, run) {
  row.tick.disabled = run.status !== "done";
  row.open.hidden = run.status !== "done";
  row.end.textContent = isOpen(run) ? "Cancel" : "Delete";
  row.end.setAttribute("aria-label", `${isOpen(run) ? "Cancel" : "Delete"} the audit of ${row.name}`);
  if (row.shown !== run.status) row.state.replaceChildren(...stateOf(run, row.name));
  row.shown = run.status;
  if (run.status === "running") {
    row.state.querySelector("progress").value = run.progress;
    row.state.querySelector(".doing").textContent =
      `${Math.floor(run.progress * 100)}\u00a0%${run.doing ? `: ${run.doing}` : ""}`;
  }
}

function stateOf(run, name) {
  if (run.status === "done") return [verdictBadge(run.verdict)];
  if (run.status === "running")
    return [
      el("progress", { max: "1", value: "0", "aria-label": `Progress of ${name}` }),
      el("span", { class: "doing" }),
    ];
  if (run.status === "failed")
    return [
      el("span", { class: "badge fail" }, el("i", { "data-mark": "!", "aria-hidden": "true" }), "Failed"),
      el("span", { class: "doing wrong" }, capital(run.error ?? "")),
    ];
  return [el("span", { class: "doing" }, capital(STATES[run.status]))];
}

/** What was asked for, in a line. */
export function describe({ request, created }) {
  const masks = request.masks ? plural(request.masks.length, "mask") : "all masks";
  const users = request.users ? `, at most ${plural(request.users, "user")}` : "";
  return `${capital(request.profile)}, ${masks}${users}, ${when(created)}`;
}

async function remove(id) {
  const button = rows.get(id)?.end;
  if (button) button.disabled = true;
  try {
    const { status } = await ask(`/audit/runs/${encodeURIComponent(id)}`, { method: "DELETE" });
    announce(`The audit is ${status}.`);
    tell.removed(id, status);
    byId("runs-title").focus();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    announce(error.message);
  }
  if (button) button.disabled = false;
  await refresh();
}

function ordered() {
  return [...known.values()]
    .filter(({ id }) => ticked.has(id))
    .sort((one, other) => one.created.localeCompare(other.created))
    .map(({ id }) => id);
}

function showCompare() {
  byId("compare").disabled = ticked.size !== 2;
  byId("compare-said").textContent =
    ticked.size < 3
      ? "Tick two that are done to set them side by side."
      : `${ticked.size} are ticked: two can be compared.`;
}
