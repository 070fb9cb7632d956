// Drawings. Each has its numbers beside it as a table; a drawing is never the only place.

import { chart, colours } from "./canvas.js";

const TALL_ROW = 34; // room for a label of two lines

/** Horizontal bars: `series` are {name, values, colour (a name of `colours`)}. */
export function bars(said, labels, series, { max = 1, min = 0, step, format, onpick, chosen } = {}) {
  return chart(
    said,
    labels.length,
    (colour) => ({
      type: "bar",
      data: {
        labels,
        datasets: series.map(({ name, values, colour: mine }) => ({
          label: name,
          data: values,
          backgroundColor: colour[mine],
          barPercentage: 0.86,
          categoryPercentage: 0.72,
          borderRadius: 1,
        })),
      },
      options: {
        indexAxis: "y",
        onClick: (_, [found]) => found && onpick?.(found.index),
        scales: {
          x: across(colour, min, max, format, step),
          y: {
            grid: { display: false },
            border: { color: colour.rule },
            ticks: {
              autoSkip: false,
              color: labels.map((_, place) => (place === chosen ? colour.ink : colour.soft)),
              font: (context) => ({ weight: context.index === chosen ? "bold" : "normal" }),
            },
          },
        },
        plugins: { tooltip: { callbacks: { label: ({ dataset, raw }) => `${dataset.label}: ${format(raw)}` } } },
      },
    }),
    { row: TALL_ROW },
  );
}

/**
 * Dots with their intervals, one below the other. Rows: {label, value, ends, reference, bound}: `reference` is drawn
 * as a diamond, `bound` ends the shade that begins at `origin`.
 */
export function dots(said, rows, { min, max, origin, format, threshold, tell }) {
  return chart(
    said,
    rows.length,
    (colour) => ({
      type: "scatter",
      data: {
        datasets: [
          {
            data: rows.map(({ value }, y) => ({ x: value, y })),
            backgroundColor: colour.strong,
            radius: 5,
            hoverRadius: 6,
          },
          {
            data: rows.map(({ reference }, y) => ({ x: reference ?? NaN, y })),
            pointStyle: "rectRot",
            radius: 6,
            borderColor: colour.reference,
            borderWidth: 1.75,
            backgroundColor: "transparent",
          },
        ],
      },
      options: {
        scales: {
          x: across(colour, min, max, format, max - min > 0.65 ? 0.2 : 0.1),
          y: {
            reverse: true,
            min: -0.5,
            max: rows.length - 0.5,
            grid: { color: colour.rule, drawTicks: false },
            border: { display: false },
            afterBuildTicks: (axis) => {
              axis.ticks = rows.map((_, value) => ({ value }));
            },
            ticks: { color: colour.ink, callback: (place) => rows[place]?.label, padding: 6, autoSkip: false },
          },
        },
        plugins: {
          tooltip: { callbacks: { label: ({ parsed }) => tell(rows[Math.round(parsed.y)]) } },
          threshold: { at: threshold },
          intervals: { rows, origin },
        },
      },
      plugins: [THRESHOLD, INTERVALS],
    }),
    { row: TALL_ROW },
  );
}

const THRESHOLD = {
  id: "threshold",
  afterDatasetsDraw({ ctx, chartArea: { top, bottom }, scales: { x } }, _, { at }) {
    if (at === undefined || at < x.min || at > x.max) return;
    ctx.save();
    ctx.strokeStyle = colours().fail;
    ctx.lineWidth = 1.5;
    ctx.setLineDash([5, 4]);
    line(ctx, x.getPixelForValue(at), top, x.getPixelForValue(at), bottom);
    ctx.restore();
  },
};

const INTERVALS = {
  id: "intervals",
  beforeDatasetsDraw({ ctx, chartArea, scales: { x, y } }, _, { rows, origin }) {
    const colour = colours();
    const inside = (value) => Math.min(chartArea.right, Math.max(chartArea.left, x.getPixelForValue(value)));
    ctx.save();
    ctx.strokeStyle = colour.soft;
    ctx.lineWidth = 1;
    line(ctx, inside(origin), chartArea.top, inside(origin), chartArea.bottom);
    rows.forEach(({ ends, bound }, place) => {
      const height = y.getPixelForValue(place);
      ctx.fillStyle = colour.band;
      if (bound > origin) ctx.fillRect(inside(origin), height - 6, inside(bound) - inside(origin), 12);
      ctx.strokeStyle = colour.strong;
      ctx.lineWidth = 2.5;
      if (ends) line(ctx, inside(ends[0]), height, inside(ends[1]), height);
    });
    ctx.restore();
  },
};

function line(ctx, x, y, endX, endY) {
  ctx.beginPath();
  ctx.moveTo(x, y);
  ctx.lineTo(endX, endY);
  ctx.stroke();
}

function across(colour, min, max, format, stepSize) {
  return {
    min,
    max,
    grid: { color: colour.rule, drawTicks: false },
    border: { display: false },
    ticks: {
      color: colour.soft,
      stepSize,
      maxTicksLimit: 8,
      maxRotation: 0,
      padding: 4,
      callback: (value) => format(value),
    },
  };
}
