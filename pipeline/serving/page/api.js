// What all parts of the start page use: requests, elements, and how numbers and days are written.

const DAY = 86400000; // Milliseconds.
const style = { locale: "en", currencies: {} };

export const byId = (id) => document.getElementById(id);

export function make(tag, text = null, attributes = {}) {
  const isSvg = ["svg", "path", "line", "text", "circle", "rect", "g"].includes(tag);
  const element = isSvg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

// GET a path, or POST rows to it: the JSON of the response, or the answers to the rows. Throws a sentence if that fails.
export const request = (path, rows) => (rows ? ask(path, { rows }).then((json) => json.answers) : ask(path));

// GET a path, or POST a body to it; the JSON of the response. Throws a sentence if that fails.
export async function ask(path, body) {
  const options = body
    ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }
    : {};
  const response = await fetch(path, options).catch(() => {
    throw new Error("The service does not answer. Is it running, and is this machine connected?");
  });
  const json = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(json.detail || `The service answered ${response.status} ${response.statusText}.`);
  return json;
}

// The fault of a row as a sentence.
export function sentence({ what, observed, allowed, todo }) {
  const parts = [observed ? `${what}: ${observed}.` : `${what}.`];
  if (allowed) parts.push(`Possible: ${allowed}.`);
  if (todo) parts.push(`To do: ${todo}.`);
  return parts.join(" ");
}

// A form that asks the service: its button waits for the answer, and a failure is a sentence in the element `status`.
export function onSubmit(form, status, ask) {
  async function run() {
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await ask();
      status.className = "";
    } catch (error) {
      status.textContent = error.message;
      status.className = "bad";
    } finally {
      button.disabled = false;
    }
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  return run();
}

// The address names what is shown, so that it can be bookmarked or shared.
export const wanted = (name) => new URLSearchParams(location.search).get(name);
export function keepInAddress(name, value) {
  const parameters = new URLSearchParams(location.search);
  parameters.set(name, value);
  history.replaceState(null, "", `?${parameters}${location.hash}`);
}

export function writeNumbersAs({ locale, currencies }) {
  style.locale = locale.replace("_", "-");
  style.currencies = currencies;
}

const written = (number, options) => number.toLocaleString(style.locale, options);
export const whole = (number) => written(number, { maximumFractionDigits: 0 });
export const decimal = (number, digits) => written(number, { minimumFractionDigits: digits, maximumFractionDigits: digits });
export const percent = (fraction) => written(fraction, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
export const change = (fraction) =>
  written(fraction, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero" });
export const counted = (number, one) => `${whole(number)} ${number === 1 ? one : `${one}s`}`;

// An amount of a table's money: whole from 100 on; a plain number where no currency is known.
export function money(number, table, digits = Math.abs(number) < 100 ? 2 : 0) {
  const currency = style.currencies[table];
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return written(number, currency ? { style: "currency", currency, ...options } : options);
}
export const unitOf = (table) => style.currencies[table] || "in the shop's currency";

export const atDay = (day) => Date.parse(day) / DAY;
export const ofDay = (number) => new Date(number * DAY).toISOString().slice(0, 10);
export const addDays = (day, count) => ofDay(atDay(day) + count);
export const readDay = (day, options = { weekday: "short", day: "numeric", month: "short", year: "numeric" }) =>
  new Date(day).toLocaleDateString("en-GB", { ...options, timeZone: "UTC" });

// Days as people say them: single ones, and stretches of days that follow each other.
export function listDays(days) {
  const stretches = [];
  for (const day of days) {
    const last = stretches[stretches.length - 1];
    if (last && atDay(day) === atDay(last[1]) + 1) last[1] = day;
    else stretches.push([day, day]);
  }
  const short = { day: "numeric", month: "short" };
  return stretches
    .map(([from, until]) => (from === until ? readDay(from, short) : `${readDay(from, short)} to ${readDay(until, short)}`))
    .join(", ");
}

// When a model was trained, and on what.
export function trained(model) {
  const seconds = (Date.now() - Date.parse(model.registered_at)) / 1000;
  const [name, size] = [["day", 86400], ["hour", 3600], ["minute", 60]].find(([, size]) => seconds >= size) || [];
  const age = name ? `${counted(Math.floor(seconds / size), name)} ago` : "just now";
  return `trained ${age} on ${model.as_of === "undated" ? "undated data" : `data until ${addDays(model.as_of, -1)}`}`;
}

// A table of texts in a box that scrolls by itself; the first column heads its rows.
export function table(caption, columns, rows) {
  const head = make("tr");
  head.append(...columns.map((name) => make("th", name, { scope: "col" })));
  const body = rows.map((cells) => {
    const line = make("tr");
    line.append(...cells.map((text, n) => (n ? make("td", text) : make("th", text, { scope: "row" }))));
    return line;
  });
  const made = make("table");
  made.append(make("caption", caption), head, ...body);
  const box = make("div", null, { class: "scroll", tabindex: 0, role: "region", "aria-label": caption });
  box.append(made);
  return box;
}
