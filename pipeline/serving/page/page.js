"use strict";
// The page at /: which models serve, and a store's next six weeks. Everything it asks for is the service's own.

const at = (id) => document.getElementById(id);
const whole = (number) => Math.round(number).toLocaleString("en-GB");
const DAY = 86400000;

function make(tag, text, attributes = {}) {
  const svg = ["path", "line", "text", "circle", "rect"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}

async function ask(path, body) {
  const how = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  const answer = await fetch(path, how);
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail || answer.statusText);
  return said;
}

// Models

function card(model) {
  const made = make("article", null);
  made.append(make("h3", model.name.replaceAll("_", " ")));
  const days = Math.max(0, Math.floor((Date.now() - Date.parse(model.as_of)) / DAY));
  const facts = [
    ["version", model.version],
    ["trained as of", model.as_of],
    ["age", `${whole(days)} days`],
    ["serves since", model.since.slice(0, 16).replace("T", " ") + " UTC"],
  ];
  const figures = Object.entries(model.metrics).filter(([, value]) => value !== null).slice(0, 6);
  const list = make("dl", null);
  for (const [name, value] of [...facts, ...figures.map(([name, value]) => [name.replaceAll("_", " "), value.toPrecision(4)])]) {
    list.append(make("dt", name), make("dd", value));
  }
  made.append(list);
  if (model.reload && model.reload.outcome === "failed") made.append(make("p", model.reload.text, { class: "bad" }));
  return made;
}

async function models() {
  const said = await ask("/model");
  at("models").replaceChildren(...said.models.map(card));
  const missing = Object.entries(said.routes).filter(([, note]) => note && note.outcome === "none");
  at("state").textContent = said.models.length
    ? `${said.models.length} ${said.models.length === 1 ? "model answers" : "models answer"}.` +
      missing.map(([, note]) => ` There is ${note.text}.`).join("")
    : "No model answers yet.";
  return said.models.some((model) => model.name === "store_sales");
}

// The forecast

let known = null;
let drawn = null;

async function stores() {
  known = (await ask("/model/store_sales")).about;
  at("stores").replaceChildren(...known.stores.map((store) => make("option", null, { value: store })));
  const asked = new URLSearchParams(location.search).get("store");
  at("store").value = asked || known.stores[0];
  at("forecast").hidden = false;
  if (asked) await forecast();
}

function daysFrom(from, until) {
  const days = [];
  for (let day = Date.parse(from); day <= Date.parse(until); day += DAY) days.push(new Date(day).toISOString().slice(0, 10));
  return days;
}

async function forecast() {
  const button = document.querySelector("form button");
  button.disabled = true;
  try {
    const store = Number(at("store").value.trim());
    // What is shown has an address of its own, to be kept or passed on.
    history.replaceState(null, "", `?store=${encodeURIComponent(store)}`);
    const days = daysFrom(known.from, known.until);
    const said = await ask("/predict", { rows: days.map((day) => ({ store, day })) });
    const rows = said.answers.map((answer, n) => ({ day: days[n], ...answer })).filter((row) => !row.error);
    if (!rows.length) throw new Error(`${said.answers[0].error.what}. ${said.answers[0].error.allowed}`);
    show(store, rows);
  } catch (error) {
    at("picture").hidden = true;
    at("said").textContent = error.message;
    at("said").className = "bad";
  } finally {
    button.disabled = false;
  }
}

function show(store, rows) {
  const open = rows.filter((row) => row.open);
  const total = open.reduce((sum, row) => sum + row.mean, 0);
  at("said").className = "";
  at("said").textContent =
    `Store ${store}, ${rows[0].day} to ${rows[rows.length - 1].day}: ${whole(total)} expected on ${open.length} open days, by version ${rows[0].model_version}.`;
  const head = make("tr", null);
  head.append(...["day", "expected", "80 of 100 days", "95 of 100 days"].map((name) => make("th", name, { scope: "col" })));
  at("days").replaceChildren(head, ...rows.map((row) => {
    const line = make("tr", null);
    const name = new Date(row.day).toLocaleDateString("en-GB", { weekday: "short", timeZone: "UTC" });
    const cells = row.open
      ? [whole(row.mean), `${whole(row.low_80)} – ${whole(row.high_80)}`, `${whole(row.low_95)} – ${whole(row.high_95)}`]
      : ["closed", "", ""];
    line.append(...[`${name} ${row.day}`, ...cells].map((text) => make("td", text)));
    return line;
  }));
  drawn = rows;
  at("picture").hidden = false;
  draw();
}

function draw() {
  if (!drawn) return;
  const svg = at("chart");
  const { width, height } = svg.getBoundingClientRect();
  const pad = { left: 52, right: 8, top: 10, bottom: 26 };
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const top = Math.max(...drawn.map((row) => row.high_95)) * 1.05 || 1;
  const x = (n) => pad.left + (n * (width - pad.left - pad.right)) / Math.max(1, drawn.length - 1);
  const y = (value) => height - pad.bottom - (value / top) * (height - pad.top - pad.bottom);
  const parts = [];
  const step = 10 ** Math.floor(Math.log10(top / 6));
  const by = [1, 2, 5, 10].map((m) => m * step).find((s) => top / s <= 6) || step * 10;
  for (let value = 0; value <= top; value += by) {
    parts.push(make("line", null, { class: "grid", x1: pad.left, x2: width - pad.right, y1: y(value), y2: y(value) }));
    parts.push(make("text", whole(value), { x: pad.left - 6, y: y(value) + 4, "text-anchor": "end" }));
  }
  const every = width < 600 ? 14 : 7;
  drawn.forEach((row, n) => {
    if (n % every) return;
    const name = new Date(row.day).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
    parts.push(make("text", name, { x: x(n), y: height - 6, "text-anchor": n ? "middle" : "start" }));
  });
  // Closed days are gaps: what is drawn runs between open ones.
  const runs = [];
  drawn.forEach((row, n) => {
    if (!row.open) return runs.push([]);
    if (!runs.length) runs.push([]);
    runs[runs.length - 1].push([n, row]);
  });
  const line = (points) => points.map(([n, value], k) => `${k ? "L" : "M"}${x(n).toFixed(1)},${y(value).toFixed(1)}`).join("");
  for (const run of runs.filter((one) => one.length)) {
    // A lone day is as wide as half a day to either side.
    const wide = run.length > 1 ? run : [[run[0][0] - 0.3, run[0][1]], [run[0][0] + 0.3, run[0][1]]];
    const ends = (name) => wide.map(([n, row]) => [n, row[name]]);
    for (const [name, level] of [["wide", 95], ["likely", 80]]) {
      const area = line(ends(`high_${level}`)) + line(ends(`low_${level}`).reverse()).replace("M", "L") + "Z";
      parts.push(make("path", null, { class: name, d: area }));
    }
    parts.push(make("path", null, { class: "mean", d: line(ends("mean")) }));
    for (const [n, row] of run) parts.push(make("circle", null, { class: "dot", r: 2.5, cx: x(n), cy: y(row.mean) }));
  }
  svg.replaceChildren(...parts);
}

models()
  .then((there) => there && stores())
  .catch((error) => {
    at("state").textContent = error.message;
    at("state").className = "bad";
  });
document.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  forecast();
});
addEventListener("resize", draw);
