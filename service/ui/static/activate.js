// Another version in the place of the active one, or beside it for a share of the users: asked twice, and a third time
// where stored requirements could not be met.

import { Problem, ask, withQuery } from "./api.js";
import { announce, byId, el } from "./elements.js";
import { notice } from "./problems.js";
import { demand, listed, mask, plural } from "./words.js";

let wanted = null; // {found, active, done, share: null where it is asked for, force}

/** Make the dialog work. */
export function setUpActivation() {
  byId("activate").addEventListener("click", activate);
  byId("activation-close").addEventListener("click", () => byId("activation").close());
}

/** Ask for how many users it is meant; `done()` is called when the version answers them. */
export function startActivation(found, active, done) {
  wanted = { found, active, done, share: null, force: false };
  open(
    `Activate ${found.version}?`,
    el(
      "p",
      {},
      `It is loaded, verified and warmed first, and then takes the place of ${active.version}, on every replica. No request is dropped; the way back is the same step.`,
    ),
    el(
      "div",
      { class: "field" },
      el("label", { for: "share" }, "Percent of the users that it answers"),
      el("input", {
        id: "share",
        type: "number",
        min: "0.1",
        max: "100",
        step: "any",
        value: found.share > 0 ? Number((100 * found.share).toPrecision(12)) : 100,
        "aria-describedby": "share-said",
        oninput: () => byId("share").setCustomValidity(""),
      }),
      el(
        "p",
        { id: "share-said", class: "said" },
        `Below 100, ${active.version} answers the others. Who gets which stays the same until this changes.`,
      ),
    ),
  );
  show("Activate it", "Leave it");
}

/** Ask whether the active version is to answer everybody again. */
export function startEnd(found, active, done) {
  wanted = { found, active, done, share: 0, force: false };
  open(
    `End the share of ${found.version}?`,
    el("p", {}, `${active.version} then answers everybody again, on every replica. No request is dropped.`),
  );
  show("End it", "Leave it");
}

function open(title, ...said) {
  byId("activation-title").textContent = title;
  byId("activation-said").replaceChildren(...said);
  byId("activation").showModal();
}

async function activate() {
  const { found, done, force } = wanted;
  const field = byId("share");
  if (field && !field.reportValidity()) return;
  const share = wanted.share ?? Number(field.value) / 100;
  wanted.share = share;
  byId("activate").disabled = true;
  byId("activate").textContent = share === 0 ? "Ending …" : "Activating …";
  try {
    const page = await ask(
      withQuery(`/models/${encodeURIComponent(found.version)}/activate`, { force: force ? "true" : null }),
      { method: "POST", body: { share } },
    );
    const title = words(found.version, share);
    byId("activation-title").textContent = title;
    byId("activation-said").replaceChildren(...(page.compared ? changes(page.compared) : []));
    show(null, "Close");
    announce(`${title}.`);
    done();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    refused(error);
  }
}

function words(version, share) {
  if (share === 0) return `${version} answers nobody`;
  return share === 1 ? `${version} is active` : `${version} answers ${demand(share)} of the users`;
}

function refused(problem) {
  if (problem.code !== "requirements_unmet" || wanted.share < 1) {
    byId("activation-said").replaceChildren(notice(problem), el("p", {}, "The active version serves on."));
    show(problem.passes || problem.code === "activation_running" ? "Try again" : null, "Close");
    return;
  }
  const { users, combinations } = problem.members;
  wanted.force = true;
  byId("activation-said").replaceChildren(
    el(
      "div",
      { class: "notice", role: "alert" },
      el("h3", {}, `${plural(users, "user")} could not be answered`),
      el(
        "p",
        {},
        `They have stored requirements that ${wanted.found.version} has no list for: ${combinations
          .slice(0, 8)
          .map((names) => `“${mask(names)}”`)
          .join(", ")}.`,
      ),
      el(
        "p",
        {},
        "Activated all the same, it would refuse their requests until they change what they ask for. Nobody is protected less.",
      ),
    ),
  );
  show("Activate it all the same", "Leave it");
}

function changes({
  attributes_added: added,
  attributes_removed: removed,
  users_added,
  users_removed,
  items_added,
  items_removed,
  users_unmet,
}) {
  const lines = [
    added.length && `It can also protect ${listed(added)}.`,
    removed.length && `It can no longer protect ${listed(removed)}.`,
    `${plural(users_added, "user")} and ${plural(items_added, "item")} are new; ${plural(users_removed, "user")} and ${plural(items_removed, "item")} are gone.`,
    users_unmet > 0 && `${plural(users_unmet, "user")} cannot be answered: their stored requirements are not met.`,
  ];
  return [
    el(
      "ul",
      {},
      lines.filter(Boolean).map((text) => el("li", {}, text)),
    ),
  ];
}

function show(go, leave) {
  byId("activate").hidden = go === null;
  byId("activate").disabled = false;
  byId("activate").textContent = go ?? "";
  byId("activation-close").textContent = leave;
}
