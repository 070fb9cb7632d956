// How well each attribute is recovered, mask by mask: dots with intervals, and the same numbers as a table.

import { dots } from "./charts.js";
import { el, part, table } from "./elements.js";
import { auc, capital, count, interval, lines, mask, plural, target } from "./words.js";

const PANELS = 6;
const DRAWN = 16;
const CHANCE = 0.5;
const LOWEST = 0.4; // of an interval that is drawn

/**
 * The part on leakage of a card: one panel for each attribute that a mask protects; `threshold` is drawn where one is
 * given.
 */
export function leaksPart(leakage, { threshold, level } = {}) {
  const rows = (leakage?.by_mask ?? []).filter(({ strongest }) => strongest);
  const targets = [...new Set(rows.map((row) => row.target))];
  if (!targets.length)
    return part("Leakage", { level }, el("p", { class: "hint" }, "Leakage was not measured in this run."));
  const panels = el("div");
  const choice = el(
    "select",
    { id: "attacked", onchange: () => panels.replaceChildren(...shown(rows, choice.value, threshold)) },
    targets.map((name) => el("option", { value: name }, capital(target(name)))),
  );
  if (targets.includes("fair")) choice.value = "fair";
  panels.append(...shown(rows, choice.value, threshold));
  const n = [...new Set(rows.map((row) => row.n))].filter(Number.isFinite);
  return part(
    "Leakage",
    { level },
    el(
      "p",
      {},
      "How well the strongest attacker recovers each attribute. 0.500 is chance; the line through a dot is its 95 % interval.",
    ),
    el("p", { class: "pick-one" }, el("label", { for: "attacked" }, "Attacked"), choice),
    el(
      "p",
      { class: "legend" },
      el("span", {}, el("i", { class: "dot" }), "strongest attacker"),
      el("span", {}, el("i", { class: "ring" }), "unprotected user vector"),
      el("span", {}, el("i", { class: "shade" }), "cannot be told from chance"),
      threshold !== undefined && el("span", {}, el("i", { class: "line" }), `allowed: ${auc(threshold)}`),
      n.length > 0 &&
        el(
          "span",
          {},
          n.length === 1 ? plural(n[0], "user") : `${count(Math.min(...n))}–${count(Math.max(...n))} users`,
        ),
    ),
    panels,
  );
}

function shown(rows, wanted, threshold) {
  const mine = rows.filter((row) => row.target === wanted);
  const protecting = mine.filter((row) => row.sensitive.includes(row.attribute));
  const drawn = protecting.length ? protecting : mine;
  const attributes = [...new Set(drawn.map(({ attribute }) => attribute))];
  const worst = (name) =>
    Math.max(...drawn.filter(({ attribute }) => attribute === name).map(({ strongest }) => strongest.auc));
  const panelled =
    attributes.length > PANELS
      ? [...attributes].sort((one, other) => worst(other) - worst(one)).slice(0, PANELS)
      : attributes;
  const max = Math.min(
    1,
    Math.ceil(
      Math.max(
        0.7,
        ...drawn.map(({ strongest: { auc: value, ci95 }, base_auc: base }) =>
          Math.max(value, ci95?.[1] ?? 0, base ?? 0),
        ),
      ) *
        10 +
        0.2,
    ) / 10,
  );
  const note =
    panelled.length < attributes.length &&
    el("p", { class: "hint" }, `Drawn: the ${PANELS} attributes that are recovered best, of ${attributes.length}.`);
  return [
    note,
    el(
      "div",
      { class: "panels" },
      panelled.map((name) =>
        panel(
          name,
          drawn.filter(({ attribute }) => attribute === name),
          max,
          threshold,
        ),
      ),
    ),
    asTable(mine, wanted),
  ].filter(Boolean);
}

function panel(attribute, rows, max, threshold) {
  const ordered = [...rows].sort((one, other) => one.sensitive.length - other.sensitive.length);
  const drawn =
    ordered.length > DRAWN
      ? [...ordered].sort((one, other) => other.strongest.auc - one.strongest.auc).slice(0, DRAWN)
      : ordered;
  const marks = drawn.map(({ sensitive, strongest, base_auc: reference, permutation95: bound }) => ({
    label: lines(capital(mask(sensitive)), 18),
    value: strongest.auc,
    ends: strongest.ci95,
    reference,
    bound,
    sensitive,
    attacker: strongest.attacker,
  }));
  const tell = ({ value, ends, reference, attacker }) => [
    `${auc(value)} (${interval(ends)}), ${attacker}`,
    `unprotected ${auc(reference)}`,
  ];
  const said = `${attribute}: AUC of the strongest attacker for ${drawn.length} masks, from ${auc(Math.min(...marks.map(({ value }) => value)))} to ${auc(Math.max(...marks.map(({ value }) => value)))}; the table has the numbers.`;
  return el(
    "figure",
    {},
    el(
      "figcaption",
      {},
      el("b", {}, attribute),
      drawn.length < ordered.length ? ` worst ${DRAWN} of ${ordered.length} masks` : "",
    ),
    dots(said, marks, { min: LOWEST, max, origin: CHANCE, format: (value) => value.toFixed(2), threshold, tell }),
  );
}

function asTable(rows, wanted) {
  const cells = rows.map((row) => ({
    cells: [
      row.attribute,
      capital(mask(row.sensitive)),
      auc(row.strongest.auc),
      interval(row.strongest.ci95),
      row.strongest.attacker ?? "",
      auc(row.base_auc),
      count(row.n),
    ],
  }));
  const columns = ["Attribute", "Protected", "#AUC", "#95 % interval", "Attacker", "#Unprotected", "#n"];
  return el(
    "details",
    {},
    el("summary", {}, `The same as a table (${plural(rows.length, "row")})`),
    table(`Leakage of the ${target(wanted)}`, columns, cells, { tall: rows.length > 16 }),
  );
}
