// A card in short: what training measured on a bundle.

import { el, tiles } from "./elements.js";
import { keptPart, keptRows } from "./kept.js";
import { leaksPart } from "./leaks.js";
import { auc, count, mask, share } from "./words.js";

/** Show a card in `place`. */
export function showCard(place, card) {
  const numbers = tilesOf(card);
  place.replaceChildren(
    el("p", { class: "hint" }, "As training measured it on the exported bundle. An audit measures it again."),
    ...(numbers.length ? [tiles(numbers)] : []),
    leaksPart(card.leakage),
    keptPart(card.accuracy),
  );
}

function tilesOf({ leakage, accuracy }) {
  const shown = [];
  const rows = (leakage?.by_mask ?? []).filter(
    ({ target, sensitive, attribute, strongest }) => target === "fair" && sensitive.includes(attribute) && strongest,
  );
  const worst = [...rows].sort((one, other) => other.strongest.auc - one.strongest.auc)[0];
  if (worst)
    shown.push([
      "Recovered best",
      auc(worst.strongest.auc),
      `${worst.attribute}, ${mask(worst.sensitive)} protected; ${auc(worst.base_auc)} unprotected`,
    ]);
  const least = keptRows(accuracy).sort((one, other) => one.kept - other.kept)[0];
  if (least) shown.push(["Accuracy kept, at least", share(least.kept), `${mask(least.sensitive)} protected`]);
  const n = Math.max(0, ...rows.map((row) => row.n).filter(Number.isFinite));
  if (n) shown.push(["Users measured", count(n), "audit users"]);
  return shown;
}
