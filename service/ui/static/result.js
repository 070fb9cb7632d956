// The result of one audit: the verdict in words, what it rests on, and the way to the whole report.

import { el, part, tiles } from "./elements.js";
import { keptPart, keptRows } from "./kept.js";
import { leaksPart } from "./leaks.js";
import { openReport } from "./report.js";
import { describe } from "./runs.js";
import { judged, verdictBox } from "./verdicts.js";
import { auc, count, duration, mask, plural, share, target } from "./words.js";

/** Show a finished run in `place`. */
export function showResult(place, run) {
  const { verdict, card, measured } = run.result;
  const { leakage_at_most: leakage, kept_at_least: kept } = verdict.thresholds;
  const buttons = el(
    "p",
    { class: "buttons" },
    el("button", { type: "button", class: "primary", onclick: () => openReport(run) }, "Open the full report"),
  );
  place.replaceChildren(
    el(
      "p",
      { class: "hint" },
      `${describe(run)}. It took ${duration(Object.values(measured.seconds).reduce((sum, one) => sum + one, 0))}.`,
    ),
    verdictBox(verdict),
    buttons,
    tiles(numbers(verdict, card)),
    part("By attribute", {}, judged(verdict)),
    leaksPart(card.leakage, { threshold: leakage }),
    keptPart(card.accuracy, { threshold: kept }),
  );
}

function numbers({ attributes }, { leakage, accuracy, fairness }) {
  const shown = [];
  const worst = attributes
    .map(({ attribute, worst: found }) => found && { attribute, ...found })
    .filter(Boolean)
    .sort((one, other) => other.auc - one.auc)[0];
  if (worst)
    shown.push([
      "Recovered best",
      auc(worst.auc),
      `${worst.attribute}, from the ${target(worst.target)}; protected: ${mask(worst.sensitive)}`,
    ]);
  const least = keptRows(accuracy).sort((one, other) => one.kept - other.kept)[0];
  if (least) shown.push(["Accuracy kept, at least", share(least.kept), `${mask(least.sensitive)} protected`]);
  const n = [...new Set((leakage?.by_mask ?? accuracy?.by_mask ?? []).map((row) => row.n))].filter(Number.isFinite);
  if (n.length)
    shown.push([
      "Users measured",
      count(Math.max(...n)),
      n.length > 1 ? `${count(Math.min(...n))} at least` : "audit users",
    ]);
  const sections = Object.keys(fairness ?? {}).filter((name) => name !== "protocol");
  if (sections.length)
    shown.push([
      "Lists and classes",
      plural(sections.length, "section"),
      "exposure, parity and more: in the full report",
    ]);
  return shown;
}
