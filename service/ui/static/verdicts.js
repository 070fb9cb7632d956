// Verdicts as words with a mark, and what the whole of one says.

import { badge, el } from "./elements.js";
import { capital, demand, listed } from "./words.js";

const WORDS = {
  pass: ["Pass", "✓"],
  fail: ["Fail", "✕"],
  inconclusive: ["Inconclusive", "?"],
  not_judged: ["Not judged", "–"],
};

/** One verdict. */
export function verdictBadge(verdict) {
  const [word, mark] = WORDS[verdict] ?? [verdict ?? "No verdict", "–"];
  return badge(verdict ?? "plain", word, mark);
}

/** The whole verdict in a box: the word, and why. */
export function verdictBox({ overall, reason, thresholds, attributes, accuracy, not_judged: open = [] }) {
  return el(
    "div",
    { class: `verdict ${overall}` },
    verdictBadge(overall),
    el("p", {}, says(overall, reason, attributes, accuracy)),
    ...(open.length
      ? [
          el(
            "ul",
            { class: "open" },
            open.map(({ of, reason: why }) =>
              el("li", {}, el("b", {}, `${of ? capital(of) : "Everything"}: not judged. `), `${capital(why)}.`),
            ),
          ),
        ]
      : []),
    el(
      "p",
      { class: "hint" },
      `Allowed: an attribute is recovered at an AUC of at most ${thresholds.leakage_at_most.toFixed(2)} (0.50 is chance), and at least ${demand(thresholds.kept_at_least)} of accuracy is kept.`,
    ),
  );
}

/** Each attribute and the accuracy, one under the other. */
export function judged({ attributes, accuracy }) {
  const rows = [...attributes.map((one) => [one.attribute, one]), ...(accuracy ? [["accuracy", accuracy]] : [])];
  return el(
    "ul",
    { class: "judged" },
    rows.map(([name, { verdict, sentence }]) =>
      el(
        "li",
        {},
        verdictBadge(verdict),
        el("h4", {}, name),
        el("p", {}, capital(sentence.startsWith(`${name}: `) ? sentence.slice(name.length + 2) : sentence)),
      ),
    ),
  );
}

function says(overall, reason, attributes, accuracy) {
  const with_ = (verdict) => attributes.filter((one) => one.verdict === verdict).map(({ attribute }) => attribute);
  if (overall === "pass") return "Every protected attribute stays within what is allowed, and enough accuracy is kept.";
  if (overall === "fail") {
    const recovered = with_("fail");
    const parts = [
      recovered.length ? `${listed(recovered)} can be recovered beyond what is allowed` : "",
      accuracy?.verdict === "fail" ? "too little accuracy is kept" : "",
    ];
    return capital(`${parts.filter(Boolean).join(", and ")}.`);
  }
  if (overall === "inconclusive") {
    const open = [...with_("inconclusive"), ...(accuracy?.verdict === "inconclusive" ? ["accuracy"] : [])];
    return `For ${listed(open) || "some attributes"} the interval reaches over the threshold: more users would tell.`;
  }
  const open = [...with_("not_judged"), ...(accuracy?.verdict === "not_judged" ? ["accuracy"] : [])];
  if (open.length && open.length <= attributes.length) return `Not everything could be judged: ${listed(open)} could not.`;
  return reason ? "Nothing was judged." : "Nothing that can be judged was measured.";
}
