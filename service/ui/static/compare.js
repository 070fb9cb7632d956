// Two audits side by side: what the second has that the first has not, in numbers and as bars to either side.

import { bars } from "./charts.js";
import { el, part, table } from "./elements.js";
import { verdictBadge } from "./verdicts.js";
import {
  MISSING,
  auc,
  capital,
  interval,
  lines,
  mask,
  measure,
  modelOf,
  plural,
  score,
  signed,
  target,
  when,
} from "./words.js";

const PANELS = 6;
const DRAWN = 16;

/** Show GET /audit/runs/{id}/comparison in `place`. */
export function showComparison(place, { first, second, differs, verdict, accuracy, leakage, fairness }) {
  place.replaceChildren(
    el("p", {}, "Differences are the second less the first. For leakage, less is better; for accuracy, more."),
    ...(differs.length
      ? [
          el(
            "div",
            { class: "notice" },
            el("h3", {}, "They were not measured in the same way"),
            el("p", {}, differences(differs)),
          ),
        ]
      : []),
    table(
      "The two runs",
      ["", "Model", "Profile", "Started", "Verdict"],
      [
        ["First", first],
        ["Second", second],
      ].map(([name, run]) => ({
        cells: [name, modelOf(run), capital(run.request.profile), when(run.created), verdictBadge(run.verdict)],
      })),
      { unseen: true },
    ),
    verdicts(verdict),
    leaks(leakage),
    kept(accuracy),
    fairnessOf(fairness),
  );
}

function differences(differs) {
  return `${differs.map(({ what, first, second }) => `${what}: ${first ?? "all"} and ${second ?? "all"}`).join("; ")}. So their numbers may differ whatever was measured.`;
}

function verdicts({ attributes, accuracy, not_judged: open }) {
  const cells = [...attributes, { attribute: "accuracy", ...accuracy }].map(({ attribute, first, second }) => ({
    cells: [attribute, first ? verdictBadge(first) : MISSING, second ? verdictBadge(second) : MISSING],
  }));
  return part(
    "Verdicts",
    {},
    table("Verdicts by attribute", ["Attribute", "First", "Second"], cells, { unseen: true }),
    el("ul", {}, [...unjudged("First", open.first), ...unjudged("Second", open.second)]),
  );
}

function unjudged(side, open) {
  return open.map(({ of, reason }) =>
    el("li", {}, `${side}: ${of ?? "everything"} is not judged. ${capital(reason)}.`),
  );
}

function fairnessOf(rows) {
  if (!rows.length) return "";
  const columns = ["What", "Protected", "Attribute", "#First", "#Second", "#Difference"];
  const cells = rows.map(({ section, metric, sensitive, attribute, first, second, difference }) => ({
    cells: [
      `${capital(section)}: ${metric.replaceAll("_", " ")}`,
      capital(mask(sensitive)),
      attribute ?? "",
      score(first?.value),
      score(second?.value),
      signed(difference, 4),
    ],
  }));
  return part(
    "Lists and classes",
    {},
    el(
      "details",
      {},
      el("summary", {}, `Exposure, parity and more (${plural(rows.length, "row")})`),
      table("Lists and classes", columns, cells, { tall: true }),
    ),
  );
}

function leaks(rows) {
  if (!rows.length) return part("Leakage", {}, el("p", { class: "hint" }, "No leakage was measured in both."));
  const targets = [...new Set(rows.map((row) => row.target))];
  const panels = el("div");
  const choice = el(
    "select",
    { id: "compared", onchange: () => panels.replaceChildren(...leaksOf(rows, choice.value)) },
    targets.map((name) => el("option", { value: name }, capital(target(name)))),
  );
  if (targets.includes("fair")) choice.value = "fair";
  panels.append(...leaksOf(rows, choice.value));
  return part(
    "Leakage",
    {},
    el("p", { class: "pick-one" }, el("label", { for: "compared" }, "Attacked"), choice),
    panels,
  );
}

function leaksOf(rows, wanted) {
  const mine = rows.filter((row) => row.target === wanted);
  const protecting = mine.filter(({ sensitive, attribute }) => sensitive.includes(attribute));
  const drawn = protecting.length ? protecting : mine;
  const attributes = [...new Set(drawn.map(({ attribute }) => attribute))].slice(0, PANELS);
  const reach = reachOf(drawn);
  const panels = attributes.map((name) => {
    const own = drawn.filter(({ attribute }) => attribute === name).slice(0, DRAWN);
    return el(
      "figure",
      {},
      el("figcaption", {}, el("b", {}, name), " difference in AUC"),
      sideways(`${name}: difference in AUC for ${plural(own.length, "mask")}; the table has the numbers.`, own, reach),
    );
  });
  const columns = ["Attribute", "Protected", "#First", "#95 %", "#Second", "#95 %", "#Difference"];
  const cells = mine.map(({ attribute, sensitive, first, second, difference }) => ({
    cells: [
      attribute,
      capital(mask(sensitive)),
      auc(first?.auc),
      interval(first?.ci95),
      auc(second?.auc),
      interval(second?.ci95),
      signed(difference),
    ],
  }));
  return [
    el("div", { class: "panels" }, panels),
    table(`Leakage of the ${target(wanted)}`, columns, cells, { tall: mine.length > 16 }),
  ];
}

function kept(rows) {
  if (!rows.length) return part("Accuracy", {}, el("p", { class: "hint" }, "No accuracy was measured in both."));
  const metrics = [...new Set(rows.map(({ metric }) => metric))];
  const metric = metrics.find((name) => name === "full ndcg@10") ?? metrics[0];
  const drawn = rows.filter((row) => row.metric === metric).slice(0, DRAWN);
  const columns = ["Protected", "Metric", "#First", "#Second", "#Difference"];
  const cells = rows.map((row) => ({
    cells: [
      capital(mask(row.sensitive)),
      measure(row.metric),
      score(row.first),
      score(row.second),
      signed(row.difference, 4),
    ],
  }));
  return part(
    "Accuracy",
    {},
    el(
      "figure",
      { class: "narrow" },
      el("figcaption", {}, el("b", {}, measure(metric)), " difference"),
      sideways(
        `Difference in ${measure(metric)} for ${plural(drawn.length, "mask")}; the table has the numbers.`,
        drawn,
        reachOf(drawn),
      ),
    ),
    table("Accuracy", columns, cells, { tall: rows.length > 16 }),
  );
}

function sideways(said, rows, reach) {
  return bars(
    said,
    rows.map(({ sensitive }) => lines(capital(mask(sensitive)), 18)),
    [{ name: "difference", values: rows.map(({ difference }) => difference), colour: "strong" }],
    { min: -reach, max: reach, step: reach / 2, format: (value) => signed(Number(value.toFixed(4)), 3) },
  );
}

/** As far as the largest difference reaches, to either side. */
function reachOf(rows) {
  return Math.max(0.02, Math.ceil(Math.max(...rows.map(({ difference }) => Math.abs(difference ?? 0))) * 50) / 50);
}
