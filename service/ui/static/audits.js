// Audits, as a story: start one → see it run → read its result, or set two side by side.

import { ask, withQuery } from "./api.js";
import { showComparison } from "./compare.js";
import { byId } from "./elements.js";
import { setUpKey } from "./key.js";
import { attempt } from "./problems.js";
import { setUpReport } from "./report.js";
import { showResult } from "./result.js";
import { markRun, refresh, setUpRuns } from "./runs.js";
import { askForStart, fillStart, setUpStart } from "./start.js";
import { modelOf } from "./words.js";

let shown = null; // id of the run whose result is on the page, or COMPARISON; null for neither
const COMPARISON = "two";

async function begin() {
  const runs = await refresh();
  if (!runs) return;
  const about = await attempt(byId("start-notice"), askForStart);
  if (about) fillStart(...about);
  const query = new URLSearchParams(location.search);
  const compared = query.get("compare")?.split(",") ?? [];
  if (compared.length === 2) await compare(...compared);
  else if (query.get("run")) await open(query.get("run"));
  else {
    const newest = runs.find(({ status }) => status === "done");
    if (newest) await open(newest.id, false, false);
  }
}

/** Show the result of a run, or how far it is. */
async function open(id, toResult = false, keep = true) {
  if (keep) remember({ run: id });
  const run = await attempt(byId("result-notice"), (signal) => {
    byId("result").hidden = false;
    return ask(`/audit/runs/${encodeURIComponent(id)}`, { signal });
  });
  if (!run) return;
  shown = id;
  markRun(id);
  byId("result").hidden = run.status !== "done";
  if (run.status !== "done") return; // its row says how far it is; it is opened when it is done
  byId("result-title").textContent = `Audit of ${modelOf(run)}`;
  showResult(byId("parts"), run);
  if (toResult) go();
}

async function compare(first, second, toResult = false) {
  remember({ compare: `${first},${second}` });
  byId("result").hidden = false;
  const path = withQuery(`/audit/runs/${encodeURIComponent(first)}/comparison`, { with: second });
  const found = await attempt(byId("result-notice"), (signal) => ask(path, { signal }));
  if (!found) return;
  shown = COMPARISON;
  markRun(null);
  byId("result-title").textContent = "Two audits side by side";
  showComparison(byId("parts"), found);
  if (toResult) go();
}

function go() {
  byId("result-title").focus({ preventScroll: true });
  byId("result-title").scrollIntoView({ block: "start" });
}

function remember(parameters) {
  history.replaceState(null, "", withQuery(location.pathname, parameters).replaceAll("%2C", ","));
}

setUpStart(async (id) => {
  remember({ run: id });
  shown = id;
  await refresh();
  markRun(id);
});
setUpRuns({
  open,
  compare: (first, second) => compare(first, second, true),
  changed: (run) => [run.id, null].includes(shown) && run.status === "done" && open(run.id),
  removed: (id, status) => {
    if (id !== shown || status !== "deleted") return;
    shown = null;
    byId("result").hidden = true;
    remember({});
  },
});
setUpReport();
setUpKey(begin);
begin();
