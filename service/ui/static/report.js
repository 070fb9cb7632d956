// The full report of an audit: fetched with the key, shown in a frame that may do nothing, or kept as a file.

import { ask } from "./api.js";
import { byId, el } from "./elements.js";
import { attempt } from "./problems.js";
import { modelOf, when } from "./words.js";

let address = null; // of the report in this tab's memory

/** Make the dialog close. */
export function setUpReport() {
  byId("report-close").addEventListener("click", () => byId("report").close());
  byId("report").addEventListener("close", forget);
}

/** Show the report of a run. */
export async function openReport(run) {
  const name = modelOf(run);
  byId("report-title").textContent = `Report on ${name}`;
  byId("report-file").hidden = true;
  byId("report-frame").replaceChildren(el("p", { class: "waiting" }, "Loading the report"));
  byId("report").showModal();
  const region = byId("report-frame");
  const html = await attempt(region, (signal) =>
    ask(`/audit/runs/${encodeURIComponent(run.id)}/report`, { as: "text", signal }),
  );
  if (html === undefined || !byId("report").open) return;
  forget();
  address = URL.createObjectURL(new Blob([html], { type: "text/html;charset=utf-8" }));
  // Of our origin, without which the links inside the report lead nowhere; no script, form, window or way out.
  region.replaceChildren(
    el("iframe", { sandbox: "allow-same-origin", src: address, title: `Report on ${name}, ${when(run.created)}` }),
  );
  byId("report-file").href = address;
  byId("report-file").download = `evenhand-audit-${name.replaceAll(" ", "-")}-${run.id}.html`;
  byId("report-file").hidden = false;
}

function forget() {
  if (address) URL.revokeObjectURL(address);
  address = null;
  byId("report-frame").replaceChildren();
}
