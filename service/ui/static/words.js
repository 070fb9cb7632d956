// Numbers and names as the page writes them; the same words as in our reports.

export const MISSING = "–";

const LISTS = {
  list: "top-{k} list",
  lists: "top-{k} lists of all masks together",
  protecting_lists: "top-{k} lists of all masks that protect it",
  constant: "control, top {k}",
  base_list: "unprotected top-{k} list",
};
const TARGETS = {
  fair: "fair vector",
  base: "user vector, unprotected",
  noise: "random noise",
  folded_in: "fair vector of new users",
  light: "fair vector of light users",
  all_masks: "fair vectors of all masks together",
  protecting_masks: "fair vectors of all masks that protect it",
};
const SOURCES = {
  request: "asked for here",
  default: "the operator’s default",
  user: "the user’s own stored requirement",
  required: "required by the operator",
  bundle: "always protected by the bundle",
};
const BALANCES = {
  uniform: "every group alike",
  catalogue: "as in the catalogue",
  target: "the service’s own target",
  quotas: "what was shown too little by now",
  history: "the user’s own history",
};
const WHEN = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** Three decimals: 0.571. */
export const auc = (value) => (Number.isFinite(value) ? value.toFixed(3) : MISSING);

/** Two decimals, for overlaps. */
export const overlap = (value) => (Number.isFinite(value) ? value.toFixed(2) : MISSING);

/** Four decimals, for accuracy. */
export const score = (value) => (Number.isFinite(value) ? value.toFixed(4) : MISSING);

/** Percent with one decimal. */
export const share = (value) => (Number.isFinite(value) ? `${(value * 100).toFixed(1)}\u00a0%` : MISSING);

/** Percent as somebody set it: 80 %, 82.5 %. */
export const demand = (value) => `${Number((value * 100).toFixed(2))}\u00a0%`;

/** Both ends: 0.528–0.580. */
export const interval = (ends) => (ends ? `${auc(ends[0])}–${auc(ends[1])}` : MISSING);

/** With its sign, a true minus: −0.012. */
export const signed = (value, digits = 3) =>
  Number.isFinite(value) ? `${value > 0 ? "+" : value < 0 ? "−" : "±"}${Math.abs(value).toFixed(digits)}` : MISSING;

/** Thousands apart. */
export const count = (value) => (Number.isFinite(value) ? value.toLocaleString("en") : MISSING);

/** 1 item, 2 items. */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** Names as in a sentence: gender, age and occupation. */
export const listed = (names) =>
  names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join("");

/** A mask by what it protects. */
export const mask = (names) =>
  names.length > 6 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : listed(names) || "nothing";

/** A range of numbers that stays on one line: 35-44, its hyphen one that lines do not break at. */
export const unbroken = (name) => name.replaceAll(/(?<=\d)-(?=\d)/g, "\u2011");

/** A mask at the beginning of a line. */
export const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

/** Text in lines of at most so many letters where its words allow it, for the side of a drawing. */
export function lines(text, width = 20) {
  const made = [""];
  for (const word of text
    .split(" ")
    .map((one) => (one.length > width ? `${one.slice(0, width - 10)}…${one.slice(-8)}` : one))) {
    if (made.at(-1) && made.at(-1).length + word.length >= width) made.push("");
    made.push(`${made.pop()} ${word}`.trim());
  }
  return made.length > 2 ? [made[0], `${made[1]} …`] : made;
}

/** Why an attribute is protected. */
export const source = (name) => SOURCES[name] ?? name;

/** What a list is balanced towards. */
export const targetOf = (name) => BALANCES[name] ?? name;

/** What was attacked. */
export function target(name) {
  if (name.startsWith("part:")) return `part ${name.slice(5)}`;
  if (name.startsWith("modal:")) return `mean ${name.slice(6)} of the items seen`;
  const [, kind, k, seen] = /^(\w+)@(\d+)(:seen)?$/.exec(name) ?? [];
  return kind in LISTS ? LISTS[kind].replace("{k}", k) + (seen ? ", seen dropped" : "") : (TARGETS[name] ?? name);
}

/** A measure of accuracy: full ndcg@10 is Full N@10. */
export const measure = (name) => capital(name.replace("ndcg", "N").replace("hit", "Hit").replace("recall", "Recall"));

/** The model that a run measured; its bundle may be gone. */
export const modelOf = ({ model, request }) => (model ? `${model.name} ${model.version}` : request.version);

/** A time as people read it here. */
export const when = (time) => (time ? WHEN.format(new Date(time)) : MISSING);

/** 75 s, 3 min, 2 h. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return MISSING;
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))}\u00a0s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)}\u00a0min` : `${(seconds / 3600).toFixed(1)}\u00a0h`;
}
