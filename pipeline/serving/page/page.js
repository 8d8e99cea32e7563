"use strict";
// The start page: the models in use, and a store's forecast for the next six weeks. All data come from the service.

const byId = (id) => document.getElementById(id);
const formatWhole = (number) => Math.round(number).toLocaleString("en-GB");
const DAY = 86400000; // Milliseconds.

function make(tag, text, attributes = {}) {
  const isSvg = ["path", "line", "text", "circle", "rect"].includes(tag);
  const element = isSvg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

// GET a path, or POST a body to it; the JSON of the response. Throws the problem's detail if the request is refused.
async function request(path, body) {
  const options = body
    ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }
    : {};
  const response = await fetch(path, options);
  const json = await response.json();
  if (!response.ok) throw new Error(json.detail || response.statusText);
  return json;
}

// Models

function card(model) {
  const article = make("article", null);
  article.append(make("h3", model.name.replaceAll("_", " ")));
  const facts = [["version", model.version]];
  if (model.as_of === "undated") {
    facts.push(["training data", "undated"]);
  } else {
    const days = Math.max(0, Math.floor((Date.now() - Date.parse(model.as_of)) / DAY));
    facts.push(["trained as of", model.as_of], ["age", `${formatWhole(days)} ${days === 1 ? "day" : "days"}`]);
  }
  facts.push(["in use since", model.since.slice(0, 16).replace("T", " ") + " UTC"]);
  const metrics = Object.entries(model.metrics).filter(([, value]) => value !== null).slice(0, 6);
  facts.push(...metrics.map(([name, value]) => [name.replaceAll("_", " "), value.toPrecision(4)]));
  const list = make("dl", null);
  for (const [name, value] of facts) list.append(make("dt", name), make("dd", value));
  article.append(list);
  if (model.reload && model.reload.outcome === "failed") {
    article.append(make("p", `The last reload failed: ${model.reload.text}.`, { class: "bad" }));
  }
  return article;
}

// Show the models in use; whether store sales can be forecast.
async function showModels() {
  const state = await request("/model");
  byId("models").replaceChildren(...state.models.map(card));
  const missing = Object.entries(state.routes).filter(([, reload]) => reload && reload.outcome === "none");
  byId("state").textContent = state.models.length
    ? `${state.models.length} ${state.models.length === 1 ? "model is" : "models are"} in use.` +
      missing.map(([, reload]) => ` There is ${reload.text}.`).join("")
    : "No model is loaded yet.";
  return state.models.some((model) => model.name === "store_sales");
}

// The forecast

let storeSales = null; // `about` of the model: its stores, and the first and last day that can be forecast.
let drawn = null; // The rows in the chart.

async function showForecastForm() {
  storeSales = (await request("/model/store_sales")).about;
  byId("stores").replaceChildren(...storeSales.stores.map((store) => make("option", null, { value: store })));
  const requested = new URLSearchParams(location.search).get("store");
  byId("store").value = requested || storeSales.stores[0];
  byId("forecast").hidden = false;
  if (requested) await showForecast();
}

function daysBetween(from, until) {
  const days = [];
  for (let day = Date.parse(from); day <= Date.parse(until); day += DAY) days.push(new Date(day).toISOString().slice(0, 10));
  return days;
}

async function showForecast() {
  const button = document.querySelector("form button");
  button.disabled = true;
  try {
    const text = byId("store").value.trim();
    const isNumber = /^\d{1,9}$/.test(text);
    const store = Number(text);
    // The address names what is shown, so that it can be bookmarked or shared.
    history.replaceState(null, "", isNumber ? `?store=${store}` : location.pathname);
    if (!isNumber) throw new Error("Enter the number of a store: a whole number.");
    if (!storeSales.stores.includes(store)) {
      throw new Error(`Store ${store} is not known. The ${formatWhole(storeSales.stores.length)} stores with sales are in the list.`);
    }
    const days = daysBetween(storeSales.from, storeSales.until);
    const response = await request("/predict", { rows: days.map((day) => ({ store, day })) });
    const answers = response.answers.map((answer, n) => ({ day: days[n], ...answer }));
    const rows = answers.filter((row) => !row.error);
    if (!rows.length) throw new Error(whyRefused(store, answers[0].error));
    showRows(store, rows, answers.length - rows.length);
  } catch (error) {
    clearPicture();
    byId("summary").textContent = error.message;
    byId("summary").className = "bad";
  } finally {
    button.disabled = false;
  }
}

function whyRefused(store, error) {
  return error.what === "This store is not in the plan"
    ? `Store ${store} exists, but it is not in the plan from ${storeSales.from} to ${storeSales.until}, so there is no forecast.`
    : `Store ${store}: ${error.what}. To do: ${error.todo}.`;
}

function clearPicture() {
  drawn = null;
  byId("picture").hidden = true;
  byId("chart").replaceChildren();
  byId("days").replaceChildren();
}

function showRows(store, rows, refused) {
  const open = rows.filter((row) => row.open);
  const total = open.reduce((sum, row) => sum + row.mean, 0);
  byId("summary").className = "";
  byId("summary").textContent =
    `Store ${store}, ${rows[0].day} to ${rows[rows.length - 1].day}: expected sales of ${formatWhole(total)} on ` +
    `${open.length} open ${open.length === 1 ? "day" : "days"}, by model version ${rows[0].model_version}.` +
    (refused ? ` ${refused} ${refused === 1 ? "day is" : "days are"} not in the plan.` : "");
  const head = make("tr", null);
  head.append(...["day", "expected", "80 of 100 days", "95 of 100 days"].map((name) => make("th", name, { scope: "col" })));
  byId("days").replaceChildren(head, ...rows.map((row) => {
    const line = make("tr", null);
    const weekday = new Date(row.day).toLocaleDateString("en-GB", { weekday: "short", timeZone: "UTC" });
    const interval = (low, high) => `${formatWhole(low)} – ${formatWhole(high)}`;
    const cells = row.open
      ? [formatWhole(row.mean), interval(row.low_80, row.high_80), interval(row.low_95, row.high_95)]
      : ["closed", "", ""];
    line.append(...[`${weekday} ${row.day}`, ...cells].map((text) => make("td", text)));
    return line;
  }));
  drawn = rows;
  byId("picture").hidden = false;
  draw();
}

function draw() {
  if (!drawn) return;
  const svg = byId("chart");
  const { width, height } = svg.getBoundingClientRect();
  const pad = { left: 52, right: 8, top: 10, bottom: 26 };
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const first = Date.parse(drawn[0].day);
  const position = (row) => (Date.parse(row.day) - first) / DAY;
  const last = position(drawn[drawn.length - 1]);
  const top = Math.max(...drawn.map((row) => row.high_95)) * 1.05 || 1;
  const x = (days) => pad.left + (days * (width - pad.left - pad.right)) / Math.max(1, last);
  const y = (value) => height - pad.bottom - (value / top) * (height - pad.top - pad.bottom);
  const parts = [];
  const power = 10 ** Math.floor(Math.log10(top / 6));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => top / size <= 6) || power * 10;
  for (let value = 0; value <= top; value += step) {
    parts.push(make("line", null, { class: "grid", x1: pad.left, x2: width - pad.right, y1: y(value), y2: y(value) }));
    parts.push(make("text", formatWhole(value), { x: pad.left - 6, y: y(value) + 4, "text-anchor": "end" }));
  }
  const labelEvery = width < 600 ? 14 : 7;
  for (let days = 0; days <= last; days += labelEvery) {
    const label = new Date(first + days * DAY).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
    parts.push(make("text", label, { x: x(days), y: height - 6, "text-anchor": days ? "middle" : "start" }));
  }
  // Closed and unplanned days are gaps: lines and bands connect consecutive open days only.
  const runs = [];
  let previous = null;
  for (const row of drawn.filter((one) => one.open)) {
    if (previous === null || position(row) > position(previous) + 1) runs.push([]);
    runs[runs.length - 1].push([position(row), row]);
    previous = row;
  }
  const line = (points) =>
    points.map(([days, value], n) => `${n ? "L" : "M"}${x(days).toFixed(1)},${y(value).toFixed(1)}`).join("");
  for (const run of runs) {
    // A single day is drawn 0.6 days wide.
    const wide = run.length > 1 ? run : [[run[0][0] - 0.3, run[0][1]], [run[0][0] + 0.3, run[0][1]]];
    const points = (name) => wide.map(([days, row]) => [days, row[name]]);
    for (const [name, level] of [["wide", 95], ["likely", 80]]) {
      const area = line(points(`high_${level}`)) + line(points(`low_${level}`).reverse()).replace("M", "L") + "Z";
      parts.push(make("path", null, { class: name, d: area }));
    }
    parts.push(make("path", null, { class: "mean", d: line(points("mean")) }));
    for (const [days, row] of run) parts.push(make("circle", null, { class: "dot", r: 2.5, cx: x(days), cy: y(row.mean) }));
  }
  svg.replaceChildren(...parts);
}

showModels()
  .then((hasForecasts) => hasForecasts && showForecastForm())
  .catch((error) => {
    byId("state").textContent = error.message;
    byId("state").className = "bad";
  });
document.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  showForecast();
});
addEventListener("resize", draw);
