// Another version in the place of the active one: asked twice, and a third time where stored requirements could not be
// met.

import { Problem, ask, withQuery } from "./api.js";
import { announce, byId, el } from "./elements.js";
import { notice } from "./problems.js";
import { listed, mask, plural } from "./words.js";

let wanted = null; // {found, done, force}

/** Make the dialog work. */
export function setUpActivation() {
  byId("activate").addEventListener("click", activate);
  byId("activation-close").addEventListener("click", () => byId("activation").close());
}

/** Ask whether it is meant; `done()` is called when another version serves. */
export function startActivation(found, active, done) {
  wanted = { found, done, force: false };
  byId("activation-title").textContent = `Activate ${found.version}?`;
  byId("activation-said").replaceChildren(
    el(
      "p",
      {},
      `It is loaded, verified and warmed first, and then takes the place of ${active.version}, on every replica. No request is dropped; the way back is the same step.`,
    ),
  );
  show("Activate it", "Leave it");
  byId("activation").showModal();
}

async function activate() {
  const { found, done, force } = wanted;
  byId("activate").disabled = true;
  byId("activate").textContent = "Activating …";
  try {
    const page = await ask(
      withQuery(`/models/${encodeURIComponent(found.version)}/activate`, { force: force ? "true" : null }),
      { method: "POST" },
    );
    byId("activation-title").textContent = `${found.version} is active`;
    byId("activation-said").replaceChildren(...changes(page.compared));
    show(null, "Close");
    announce(`${found.version} is active.`);
    done();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    refused(error);
  }
}

function refused(problem) {
  if (problem.code !== "requirements_unmet") {
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
