// Models, as a story: which versions there are → what training measured on one → another one in its place.

import { setUpActivation, startActivation, startEnd } from "./activate.js";
import { ask, withQuery } from "./api.js";
import { showCard } from "./card.js";
import { badge, byId, el } from "./elements.js";
import { keyNeeded, setUpKey } from "./key.js";
import { attempt } from "./problems.js";
import { demand, when } from "./words.js";

async function begin() {
  const page = await attempt(byId("notice"), (signal) => ask("/models", { signal }), { more: keyNeeded });
  if (!page) return;
  if (page.trouble)
    byId("notice").append(
      el(
        "div",
        { class: "notice", role: "alert" },
        el("h3", {}, "Another version was activated than the one that is served here"),
        el("p", {}, page.trouble),
      ),
    );
  byId("versions").replaceChildren(
    ...(page.models.length
      ? page.models.map((one) => row(one, page))
      : [el("li", { class: "none" }, "No version in the models folder.")]),
  );
  const wanted = new URLSearchParams(location.search).get("version");
  await open(
    page.models.find(({ version }) => version === wanted) ??
      page.models.find(({ active }) => active) ?? { ...page.active, active: true },
    page,
  );
}

function row(found, page) {
  const { version, name, created, method, content_hash: hash, active, share, refused } = found;
  const trial = share > 0 && !active;
  const facts = refused
    ? [el("p", { class: "refused" }, `Refused: ${refused}`)]
    : [
        el("p", {}, `Trained by ${method}, ${when(created)}`),
        el("p", {}, `Content ${hash.slice(0, 12)}${active ? activated(page.active) : trial ? activated(page.trial) : ""}`),
      ];
  const buttons = refused
    ? []
    : [
        el(
          "button",
          { type: "button", "aria-label": `Show card of ${version}`, onclick: () => open(found, page, true) },
          "Show card",
        ),
        !active &&
          el(
            "button",
            {
              type: "button",
              "aria-label": `Activate ${version}`,
              onclick: () => startActivation(found, page.active, begin),
            },
            trial ? "Change its share" : "Activate",
          ),
        trial &&
          el(
            "button",
            {
              type: "button",
              "aria-label": `End the share of ${version}`,
              onclick: () => startEnd(found, page.active, begin),
            },
            "End its share",
          ),
      ];
  return el(
    "li",
    { class: "version", "data-version": version },
    el(
      "h3",
      {},
      name ? `${name} ${version}` : version,
      active && badge("active", share < 1 ? `Active, ${demand(share)} of the users` : "Active", "●"),
      trial && badge("active", `${demand(share)} of the users`, "◐"),
    ),
    el("div", {}, facts),
    el("p", { class: "buttons" }, buttons),
  );
}

function activated({ activated: time, activated_by: by }) {
  return time ? `, activated ${when(time)}${by ? ` by ${by}` : ""}` : ", served since the service started";
}

/**
 * Show what was measured on a version. The card of the active one is with the versions, for keys without the audit
 * scope.
 */
async function open(found, page, toCard = false) {
  const { version } = found;
  history.replaceState(null, "", found.active ? location.pathname : withQuery(location.pathname, { version }));
  for (const item of byId("versions").children) item.classList.toggle("chosen", item.dataset.version === version);
  byId("card").hidden = false;
  byId("card-title").textContent = `Card of ${found.name} ${version}`;
  const card = found.active
    ? page.card
    : (await attempt(byId("card-notice"), (signal) => ask(withQuery("/audit/card", { version }), { signal })))?.card;
  if (card) {
    byId("card-notice").replaceChildren();
    showCard(byId("parts"), card);
  } else byId("parts").replaceChildren();
  if (toCard) {
    byId("card-title").focus({ preventScroll: true });
    byId("card-title").scrollIntoView({ block: "start" });
  }
}

setUpActivation();
setUpKey(begin);
begin();
