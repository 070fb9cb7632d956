// How much accuracy every mask keeps, of what the unprotected user vectors have.

import { dots } from "./charts.js";
import { el, part, table } from "./elements.js";
import { capital, count, demand, lines, mask, plural, score, share } from "./words.js";

const DRAWN = 16;
const METRICS = [
  ["full", "ndcg@10", "Full N@10: ranked against all items"],
  ["sampled", "ndcg@10", "Sampled N@10: ranked against 99 items"],
];

/**
 * Of each row of card.accuracy: one metric under the mask, of the base, their ratio, and its interval where there is
 * one.
 */
export function keptRows(accuracy, [kind, metric] = METRICS[0]) {
  if (unkept(accuracy).some(({ metric: of }) => !of || of === kind)) return [];
  return (accuracy?.by_mask ?? []).flatMap((row) => {
    const [mine, whole] = [row[kind]?.[metric], row.base?.[kind]?.[metric]];
    if (!Number.isFinite(mine) || !(whole > 0)) return [];
    return [
      { sensitive: row.sensitive, n: row.n, mine, whole, kept: mine / whole, ends: row.kept?.[kind]?.[metric]?.ci95 },
    ];
  });
}

/** What the card says nothing is known to be kept of, and why. */
function unkept(accuracy) {
  return accuracy?.protocol?.not_measured ?? [];
}

/** The part on accuracy of a card. */
export function keptPart(accuracy, { threshold, level } = {}) {
  const measured = METRICS.filter((metric) => keptRows(accuracy, metric).length);
  if (!measured.length)
    return part(
      "Accuracy kept",
      { level },
      el("p", { class: "hint" }, ["Not measured.", ...unkept(accuracy).map(({ reason }) => `${capital(reason)}.`)].join(" ")),
    );
  const place = el("div");
  const choice = el(
    "select",
    {
      id: "kept",
      onchange: () => place.replaceChildren(...shown(accuracy, measured[choice.selectedIndex], threshold)),
    },
    measured.map(([, , words]) => el("option", {}, words)),
  );
  place.append(...shown(accuracy, measured[0], threshold));
  return part(
    "Accuracy kept",
    { level },
    el(
      "p",
      {},
      "nDCG at 10 of one held-out item per user, as a share of what the unprotected user vectors of the same users reach.",
    ),
    el("p", { class: "pick-one" }, el("label", { for: "kept" }, "Metric"), choice),
    place,
  );
}

function shown(accuracy, metric, threshold) {
  const rows = keptRows(accuracy, metric);
  const drawn = rows.length > DRAWN ? [...rows].sort((one, other) => one.kept - other.kept).slice(0, DRAWN) : rows;
  const all = drawn.flatMap(({ kept, ends }) => [kept, ...(ends ?? [])]);
  const marks = drawn.map(({ sensitive, kept, ends }) => ({
    label: lines(capital(mask(sensitive)), 24),
    value: kept,
    ends,
  }));
  const range = {
    min: Math.min(0.7, Math.floor(Math.min(...all) * 10) / 10),
    max: Math.max(1.1, Math.ceil(Math.max(...all) * 10) / 10),
    origin: 1,
  };
  const tell = ({ value, ends }) => (ends ? `${share(value)} (${share(ends[0])} to ${share(ends[1])})` : share(value));
  const said = `Accuracy kept by ${plural(drawn.length, "mask")}, from ${share(Math.min(...drawn.map(({ kept }) => kept)))}; the table has the numbers.`;
  const columns = ["Protected", "#Kept", "#95 % interval", "#Accuracy", "#Unprotected", "#n"];
  const cells = rows.map(({ sensitive, kept, ends, mine, whole, n }) => ({
    cells: [
      capital(mask(sensitive)),
      share(kept),
      ends ? `${share(ends[0])}–${share(ends[1])}` : "–",
      score(mine),
      score(whole),
      count(n),
    ],
  }));
  return [
    el(
      "p",
      { class: "legend" },
      el(
        "span",
        {},
        el("i", { class: "dot" }),
        drawn.some(({ ends }) => ends) ? "kept, with its 95 % interval" : "kept",
      ),
      threshold !== undefined && el("span", {}, el("i", { class: "line" }), `demanded: ${demand(threshold)}`),
    ),
    el(
      "figure",
      { class: "narrow" },
      drawn.length < rows.length && el("figcaption", {}, `The ${DRAWN} masks that keep least, of ${rows.length}.`),
      dots(said, marks, { ...range, format: (value) => `${Math.round(value * 100)} %`, threshold, tell }),
    ),
    el(
      "details",
      {},
      el("summary", {}, `The same as a table (${plural(rows.length, "row")})`),
      table("Accuracy kept", columns, cells, { tall: rows.length > 16 }),
    ),
  ];
}
