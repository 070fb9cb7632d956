// One switch for each attribute. What is always protected is on, cannot be switched off, and says why.

import { byId, el } from "./elements.js";
import { source, unbroken } from "./words.js";

const MANY = 12;
const CLASSES_SHOWN = 60;

/** Make the switches of `attributes`; `choose(names)` is told which of them are on, those that are fixed left out. */
export function setUpSwitches(attributes, choose) {
  const chosen = () =>
    boxes()
      .filter((box) => box.checked && !box.disabled)
      .map((box) => box.value);
  const made = attributes.map(({ name, classes }) =>
    el(
      "label",
      { class: "switch", "data-name": name },
      el("input", {
        type: "checkbox",
        role: "switch",
        value: name,
        onchange: () => choose(chosen()),
        "aria-labelledby": `name-${name}`,
        "aria-describedby": `about-${name}`,
      }),
      el("b", { id: `name-${name}` }, name),
      el("small", { id: `about-${name}`, "data-classes": shorten(classes.map(unbroken).join(", ")) }),
    ),
  );
  byId("switches").replaceChildren(...made);
  if (!attributes.length)
    byId("switches").append(
      el("p", { class: "hint" }, "This bundle was trained on no attribute: there is nothing to protect."),
    );
  const many = attributes.length > MANY;
  byId("switches").classList.toggle("many", many);
  byId("protect").querySelector(".find").hidden = !many;
  byId("protect-all").hidden = attributes.length < 2;
  byId("find").oninput = () => {
    const wanted = byId("find").value.trim().toLowerCase();
    for (const label of made) label.hidden = !label.dataset.name.toLowerCase().includes(wanted);
  };
  for (const button of byId("protect-all").querySelectorAll("button"))
    button.onclick = () => {
      for (const box of boxes()) if (!box.disabled) box.checked = button.dataset.all === "yes";
      choose(chosen());
    };
}

/** Show which are on; `fixed` maps names to why they always are. */
export function showSwitches(names, fixed) {
  for (const box of boxes()) {
    const why = fixed.get(box.value);
    const about = byId(`about-${box.value}`);
    box.disabled = why !== undefined;
    box.checked = why !== undefined || names.includes(box.value);
    about.textContent = why === undefined ? about.dataset.classes : `On: ${source(why)}`;
  }
}

function boxes() {
  return [...byId("switches").querySelectorAll("input")];
}

function shorten(text) {
  return text.length > CLASSES_SHOWN ? `${text.slice(0, CLASSES_SHOWN - 1).trimEnd()}…` : text;
}
