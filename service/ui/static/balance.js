// What lists are balanced towards: the choice, its slider, and what is said of it.

import { byId, el } from "./elements.js";
import { targetOf } from "./words.js";

/** Build the controls from GET /attributes; `choose({balance, weight})` is told of every choice. */
export function setUpBalance({ targets, default: usual, weight, max_weight: most }, choose) {
  const target = byId("balance");
  const slider = byId("balance-weight");
  target.replaceChildren(
    el("option", { value: "" }, usual ? `As by default: ${targetOf(usual)}` : "Not balanced here"),
    ...targets.map((name) => el("option", { value: name }, targetOf(name))),
  );
  slider.max = most;
  slider.value = Math.min(weight, most);
  const told = () => choose({ balance: target.value || null, weight: Number(slider.value) });
  target.onchange = told;
  slider.oninput = showWeight;
  slider.onchange = told;
  byId("balance-field").hidden = !targets.length;
  showWeight();
}

/** The controls as `place` says. */
export function showBalance({ balance, weight }) {
  byId("balance").value = balance ?? "";
  if (weight !== null) byId("balance-weight").value = weight;
  byId("balance-more").hidden = balance === null;
  showWeight();
}

/** How far both lists are from the target, as the value of a tile and the words under it. */
export function divergenceOf({ target, divergence }) {
  if (!divergence) return ["–", "there is no history to follow"];
  const was = `was ${divergence.before.toFixed(2)}; from “${targetOf(target)}”, KL in nats`;
  return [divergence.after.toFixed(2), was];
}

function showWeight() {
  byId("balance-said").textContent = Number(byId("balance-weight").value).toFixed(2);
}
