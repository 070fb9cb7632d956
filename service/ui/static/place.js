// What is looked at, as the address says it, so that a view can be sent to somebody else.

export const LENGTHS = [5, 10, 20, 50, 100];
export const KNOWN = ["user", "sensitive", "k", "balance", "balance_weight"];

/**
 * {user, sensitive (names, or null where the address does not say), k, balance (a target, or null), weight (or null),
 * unknown (parameters that mean nothing here)}.
 */
export function readPlace() {
  const query = new URLSearchParams(location.search);
  const k = Number(query.get("k") ?? 10);
  const weight = Number(query.get("balance_weight"));
  const sensitive = query.getAll("sensitive").join(",");
  return {
    user: query.get("user") || null,
    sensitive: query.has("sensitive") ? [...new Set(sensitive.split(",").filter(Boolean))] : null,
    k: Number.isInteger(k) && k >= 1 && k <= 1000 ? k : 10,
    balance: query.get("balance")?.replace(/^none$/, "") || null,
    weight: query.has("balance_weight") && weight >= 0 && weight <= 1 ? weight : null,
    unknown: [...new Set(query.keys())].filter((name) => !KNOWN.includes(name)),
  };
}

/** Write it; another user is a step that the back button takes back, a switch is not. */
export function writePlace({ user, sensitive, k, balance, weight }, { step = false } = {}) {
  const query = new URLSearchParams();
  if (user !== null) query.set("user", user);
  query.set("sensitive", sensitive.join(","));
  query.set("k", String(k));
  if (balance !== null) query.set("balance", balance);
  if (balance !== null && weight !== null) query.set("balance_weight", String(weight));
  const address = `${location.pathname}?${query.toString().replaceAll("%2C", ",")}`;
  if (step) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}
