// A chart of lines and bands over days or numbers. Its values are read by pointing, or with the slider below it.

import { make } from "./api.js";

const PAD = { left: 64, right: 10, top: 22, bottom: 40 };

// Draw a chart into a <figure> that has an svg, a slider and an output, now and whenever its width changes.
//   places   numbers, ascending: where the values are along the x axis
//   label    place -> text of the x axis; every how many places one may stand: `labelEvery`
//   x, y     titles of the axes; `amount` formats a value of the y axis
//   bands    [{name, low, high}], lines [{name, values}]: one value a place, null where there is none
//   spans    [{name, from, until}]: parts of the x axis that are shaded; dividers [{at, text}]
//   read     index of a place -> what is said of it; `shown`, the one that is read first
export function drawChart(box, chart) {
  box.chart = chart;
  const slider = box.querySelector("input");
  slider.max = chart.places.length - 1;
  slider.value = chart.shown || 0;
  if (!box.isDrawn) {
    box.isDrawn = true;
    slider.addEventListener("input", () => point(box));
    const svg = box.querySelector("svg");
    svg.addEventListener("pointermove", (event) => {
      const at = scaleOf(box).place(event.clientX - svg.getBoundingClientRect().left);
      const nearest = box.chart.places.reduce((best, place, n, all) => (Math.abs(place - at) < Math.abs(all[best] - at) ? n : best), 0);
      slider.value = nearest;
      point(box);
    });
    new ResizeObserver(() => render(box)).observe(box);
  }
  box.hidden = false;
  render(box);
}

function scaleOf(box) {
  const { places, bands, lines } = box.chart;
  const { width, height } = box.querySelector("svg").getBoundingClientRect();
  const values = [...bands.flatMap((band) => band.high), ...lines.flatMap((line) => line.values)].filter((value) => value !== null);
  const [first, last] = [places[0], places[places.length - 1]];
  const top = Math.max(...values, 0) * 1.05 || 1;
  const inner = Math.max(1, width - PAD.left - PAD.right);
  return {
    width, height, top,
    x: (place) => PAD.left + ((place - first) * inner) / Math.max(1e-9, last - first),
    y: (value) => height - PAD.bottom - (value / top) * (height - PAD.top - PAD.bottom),
    place: (x) => first + ((x - PAD.left) * (last - first)) / inner,
  };
}

function render(box) {
  const { chart } = box, svg = box.querySelector("svg"), scale = scaleOf(box);
  const { x, y, width, height } = scale;
  if (!width) return;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const bottom = height - PAD.bottom;
  const half = chart.places.length > 1 ? (chart.places[1] - chart.places[0]) / 2 : 0.5;
  const parts = chart.spans.map(({ name, from, until }) =>
    make("rect", null, { class: name, x: x(from - half), width: Math.max(2, x(until + half) - x(from - half)), y: PAD.top, height: bottom - PAD.top }));
  const step = roundStep(scale.top / 5);
  for (let value = 0; value <= scale.top; value += step) {
    parts.push(make("line", null, { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: y(value), y2: y(value) }));
    parts.push(make("text", chart.amount(value), { x: PAD.left - 6, y: y(value) + 4, "text-anchor": "end" }));
  }
  const room = Math.max(1, Math.floor((width - PAD.left) / 90));
  const every = chart.labelEvery * Math.ceil(chart.places.length / chart.labelEvery / room);
  chart.places.forEach((place, n) => {
    if (n % every === 0 && x(place) < width - 24) {
      parts.push(make("text", chart.label(place), { x: x(place), y: bottom + 16, "text-anchor": n ? "middle" : "start" }));
    }
  });
  parts.push(make("text", chart.y, { class: "title", x: 0, y: 12 }));
  parts.push(make("text", chart.x, { class: "title", x: width - PAD.right, y: height - 4, "text-anchor": "end" }));
  for (const { at, text } of chart.dividers) {
    parts.push(make("line", null, { class: "divider", x1: x(at - half), x2: x(at - half), y1: PAD.top, y2: bottom }));
    parts.push(make("text", text, { x: x(at - half) + 5, y: PAD.top + 11 }));
  }
  for (const { name, low, high } of chart.bands) {
    for (const run of runsOf(chart.places, low)) {
      const upper = run.map((n) => [x(chart.places[n]), y(high[n])]);
      const lower = run.map((n) => [x(chart.places[n]), y(low[n])]);
      parts.push(make("path", null, { class: name, d: pathOf([...widened(upper), ...widened(lower).reverse()]) + "Z" }));
    }
  }
  for (const { name, values, dots } of chart.lines) {
    for (const run of runsOf(chart.places, values)) {
      const points = run.map((n) => [x(chart.places[n]), y(values[n])]);
      parts.push(make("path", null, { class: name, d: pathOf(points) }));
      if (dots || points.length === 1) parts.push(...points.map(([cx, cy]) => make("circle", null, { class: `dot ${name}`, r: 2, cx, cy })));
    }
  }
  parts.push(make("line", null, { class: "pointer", y1: PAD.top, y2: bottom }));
  svg.replaceChildren(...parts);
  point(box);
}

// Mark the place of the slider, and say what is there.
function point(box) {
  const slider = box.querySelector("input"), n = Number(slider.value);
  const said = box.chart.read(n), at = scaleOf(box).x(box.chart.places[n]);
  box.querySelector("output").textContent = said;
  slider.setAttribute("aria-valuetext", said);
  const pointer = box.querySelector(".pointer");
  pointer.setAttribute("x1", at);
  pointer.setAttribute("x2", at);
}

// Stretches of places that follow each other and have values: closed and missing days are gaps.
function runsOf(places, values) {
  const runs = [];
  const step = places.length > 1 ? places[1] - places[0] : 1;
  values.forEach((value, n) => {
    if (value === null) return;
    const last = runs[runs.length - 1];
    if (last && places[n] - places[last[last.length - 1]] <= step * 1.01) last.push(n);
    else runs.push([n]);
  });
  return runs;
}

const pathOf = (points) => points.map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");
// A band over a single day would have no width.
const widened = (points) => (points.length > 1 ? points : [[points[0][0] - 2, points[0][1]], [points[0][0] + 2, points[0][1]]]);

function roundStep(size) {
  const power = 10 ** Math.floor(Math.log10(size));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= size);
}
