// What an audit is to measure: the form, and the body of POST /audit/runs that it means.

import { ask, withQuery } from "./api.js";
import { byId, el } from "./elements.js";
import { attempt } from "./problems.js";
import { capital, mask } from "./words.js";

/** As measure.audit names them, in its order. */
export const METRICS = {
  accuracy: "accuracy kept",
  leakage: "leakage of fair vectors",
  parts: "leakage of each part",
  lists: "leakage of lists",
  joined: "leakage of several masks joined",
  overlap: "overlap of lists",
  exposure: "exposure by class",
  parity: "parity between classes",
  utility: "utility of user and item groups",
  activity: "active users and others",
  clients: "parity within clients",
  calibration: "calibration",
  catalogue: "catalogue covered",
};
const ALL_UP_TO = 4; // attributes up to which every combination is measured (measure.masks)

/** Make the form work; `begun(id)` is told of a run that was taken. */
export function setUpStart(begun) {
  const form = byId("start");
  byId("metrics").replaceChildren(
    ...Object.entries(METRICS).map(([name, words]) => pick("metric", name, capital(words), true)),
  );
  for (const what of ["masks", "metrics"])
    for (const radio of form.elements[`which-${what}`])
      radio.addEventListener("change", () => {
        byId(what).hidden = form.elements[`which-${what}`].value === "all";
      });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wanted = bodyOf(form);
    const empty = ["masks", "metrics"].find((what) => wanted[what]?.length === 0);
    byId("start-said").textContent = empty ? `Tick at least one of the ${empty}, or take them all.` : "";
    if (empty) return;
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    const taken = await attempt(
      byId("start-notice"),
      (signal) => ask("/audit/runs", { method: "POST", body: wanted, signal }),
      { byHand: true },
    );
    button.disabled = false;
    if (taken) begun(taken.id);
  });
}

/** Fill in what depends on the service: its masks and versions. */
export function fillStart(schema, models) {
  const shown = masksOf(schema).map((names) => pick("mask", names.join(","), capital(mask(names))));
  byId("masks").replaceChildren(...shown);
  const versions = models.models.filter(({ refused }) => !refused);
  byId("version").replaceChildren(
    el("option", { value: "" }, `the active one (${models.active.version})`),
    ...versions.filter(({ active }) => !active).map(({ version }) => el("option", { value: version }, version)),
  );
}

/** What the service needs to be asked for the form. */
export function askForStart(signal) {
  return Promise.all([ask("/attributes", { signal }), ask(withQuery("/models", {}), { signal })]);
}

function bodyOf(form) {
  const value = (name) => form.elements[name].value.trim();
  const number = (name) => (value(name) === "" ? null : Number(value(name)));
  const ticked = (name) => [...form.querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value);
  const some = (what, read) => (value(`which-${what}`) === "all" ? null : read());
  return {
    profile: value("profile"),
    masks: some("masks", () => ticked("mask").map((names) => names.split(",").filter(Boolean))),
    metrics: some("metrics", () => ticked("metric")),
    users: number("users"),
    seed: number("seed"),
    version: value("version") || null,
  };
}

function masksOf({ attributes, supported_masks: { kind, masks } }) {
  if (kind !== "all") return masks;
  const names = attributes.map(({ name }) => name);
  if (names.length > ALL_UP_TO) return [[], ...names.map((name) => [name]), names];
  const every = Array.from({ length: 2 ** names.length }, (_, bits) =>
    names.filter((_name, place) => bits & (1 << place)),
  );
  return every.sort((one, other) => one.length - other.length);
}

function pick(name, value, text, checked = false) {
  return el("label", { class: "check" }, el("input", { type: "checkbox", name, value, checked }), text);
}
