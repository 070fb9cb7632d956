// A canvas of Chart.js in the colours of the page, drawn again when these change.

const drawn = new Map(); // canvas → how it is drawn
let library = null;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((draw) => draw()));

/**
 * A box with a drawing in it. `rows` lines of `row` pixels make its height at once, so that nothing jumps when it is
 * drawn.
 *
 * @param said what a screen reader is told of it
 * @param configure (colours) → a Chart.js configuration
 */
export function chart(said, rows, configure, { row = 26 } = {}) {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", said);
  const box = document.createElement("div");
  box.className = "chart";
  box.style.setProperty("--rows", rows);
  box.style.setProperty("--row", `${row}px`);
  box.append(canvas);
  const draw = async () => {
    const Chart = await load();
    if (!Chart) return; // the numbers are beside it
    for (const other of drawn.keys()) if (!other.isConnected || other === canvas) Chart.getChart(other)?.destroy();
    for (const other of drawn.keys()) if (!other.isConnected) drawn.delete(other);
    if (canvas.isConnected) new Chart(canvas, dressed(configure(colours())));
  };
  drawn.set(canvas, draw);
  requestAnimationFrame(draw); // once it is on the page
  return box;
}

/** What every drawing has in common: no motion, no legend of its own (the page has one), the type of the page. */
function dressed(configuration) {
  const { options, ...rest } = configuration;
  const colour = colours();
  const tooltip = {
    backgroundColor: colour.ink,
    bodyColor: colour.ground,
    titleColor: colour.ground,
    displayColors: false,
    padding: 8,
    ...options.plugins.tooltip,
  };
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  const plugins = { ...options.plugins, legend: { display: false }, tooltip };
  return {
    ...rest,
    options: { ...options, animation: false, responsive: true, maintainAspectRatio: false, font, plugins },
  };
}

/** The page's colours as they are now. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ground", "ink", "soft", "rule", "band", "strong", "weak", "reference", "fail"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** The library, loaded with the first drawing; null where it does not come, and then tried again with the next one. */
function load() {
  library ??= new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = new URL("./chart.js", import.meta.url);
    script.addEventListener("load", () => resolve(globalThis.Chart));
    script.addEventListener("error", () => {
      library = null;
      resolve(null);
    });
    document.head.append(script);
  });
  return library;
}
