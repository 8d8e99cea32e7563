"use strict";
// What all pages share: charts, copies of tables and charts to take along, and ways to other pages.

const dark = matchMedia("(prefers-color-scheme: dark)").matches;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// ---- charts

// Colours of a chart on the page, or on white paper.
function colours(onPaper) {
  const light = onPaper || !dark;
  return { ink: light ? "#1c2430" : "#e8ebf0", grid: light ? "rgba(28,36,48,0.16)" : "rgba(232,235,240,0.13)",
    zero: light ? "rgba(28,36,48,0.45)" : "rgba(232,235,240,0.4)", ground: onPaper ? "#ffffff" : "rgba(0,0,0,0)" };
}

function styled(layout, onPaper = false) {
  const { ink, grid, zero, ground } = colours(onPaper);
  const style = { ...layout, paper_bgcolor: ground, plot_bgcolor: ground,
    font: { ...layout.font, family: "system-ui, sans-serif", color: ink } };
  for (const name of ["xaxis", "yaxis", ...Object.keys(layout).filter((key) => /^[xy]axis\d+$/.test(key))])
    style[name] = { ...layout[name], gridcolor: grid, zerolinecolor: zero };
  if (layout.shapes) style.shapes = layout.shapes.map((shape) => ({ ...shape, line: { color: ink, ...shape.line } }));
  return style;
}

// Break a text into lines of about so many characters.
const wrapped = (text, length) => typeof text === "string" && !text.includes("<br>")
  ? text.replace(new RegExp(`(.{${length},}?)\\s`, "g"), "$1<br>") : text;

// A figure for so many pixels: labels are broken rather than cut or laid over each other, and cells with figures are wide
// enough to be read.
function fitted(figure, width) {
  const narrow = width < 560, labels = (values, length) => (Array.isArray(values) ? values.map((value) => wrapped(value, length)) : values);
  let minWidth = (figure.layout.meta || {}).min_width ?? 0, minHeight = 0;
  const data = figure.data.map((trace) => {
    if (trace.type === "heatmap" && trace.texttemplate && Array.isArray(trace.x)) minWidth = Math.max(minWidth, 170 + 62 * trace.x.length);
    if (trace.theta) return { ...trace, theta: labels(trace.theta, narrow ? 8 : 14) };
    if (!Array.isArray(trace.y) || typeof trace.y[0] !== "string") return trace;
    const y = narrow ? labels(trace.y, 14) : trace.y, lines = Math.max(...y.map((text) => text.split("<br>").length));
    minHeight = Math.max(minHeight, 110 + 15 * (lines + 0.5) * new Set(y).size);
    return { ...trace, y };
  });
  const layout = { ...figure.layout };
  if (narrow && layout.annotations)
    layout.annotations = layout.annotations.map((note) => ({ ...note, text: wrapped(note.text, 28), font: { ...note.font, size: 11 } }));
  layout.margin = { l: 60, r: 20, t: 30, b: 50, ...layout.margin };
  if (data.some((trace) => trace.theta)) {
    // Plotly keeps no room for the labels around a circle, neither at its sides nor below the legend.
    layout.margin = { ...layout.margin, l: narrow ? 84 : 120, r: narrow ? 84 : 120 };
    const { polar } = layout;
    layout.polar = { ...polar, domain: { y: [0, 0.9] }, angularaxis: { ...polar.angularaxis, tickfont: { size: narrow ? 10 : 12 } } };
  }
  if (minWidth > width) layout.width = minWidth;
  if (minHeight > (layout.height ?? 360)) layout.height = minHeight;
  return { data, layout };
}

// How figures are written, as pipeline/reports/phrasing.py has it.
function figures({ locale, currency }) {
  const style = currency ? { style: "currency", currency, currencyDisplay: "narrowSymbol" } : {};
  const text = (value, digits, more) => new Intl.NumberFormat(locale,
    { minimumFractionDigits: digits, maximumFractionDigits: digits, ...more }).format(value);
  const cents = currency ? new Intl.NumberFormat(locale, style).resolvedOptions().maximumFractionDigits : 2;
  const percent = (value) => {
    const distance = Math.min(Math.abs(value), Math.abs(100 - Math.abs(value)));
    if (distance > 0 && distance < 0.01) return value < 1 ? `less than ${text(0.01, 2)} %` : `more than ${text(99.99, 2)} %`;
    return `${text(value, distance > 0 && distance <= 0.05 ? 2 : 1)} %`;
  };
  return {
    count: (value) => text(value, 0),
    amount: (value) => text(value, value === 0 || Math.abs(value) >= 100 ? 0 : cents, style),
    share: (fraction) => percent(100 * fraction),
    moreOrLess: (change) => `${text(Math.abs(change), 1)} % ${change < 0 ? "less" : "more"}`,
  };
}

const paper = matchMedia("print");
const drawn = new Map();
// A chart is laid out anew when its width has changed, as that of a phone that is turned; its height changes with it.
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const { figure, width } = drawn.get(target);
    if (target.clientWidth && target.clientWidth !== width) draw(target.id, figure);
  }
  reach();
});

// Draw a figure into the element with that id. One that needs more room than there is scrolls.
function draw(id, figure) {
  const place = document.getElementById(id), width = place.clientWidth, { data, layout } = fitted(figure, width);
  if (layout.height) place.style.minHeight = `${layout.height}px`;
  // Plotly's `react` keeps the margins of the former width.
  const plot = drawn.get(place)?.width === width ? Plotly.react : Plotly.newPlot;
  drawn.set(place, { figure, width });
  resized.observe(place);
  const done = plot(id, data, { ...styled(layout, paper.matches), autosize: true }, { displayModeBar: false });
  if (!place.dataset.offered) {
    place.dataset.offered = "picture";
    offer(place, "Picture (PNG)", async () => save(await picture(place), nameOf(place, "png")));
  }
  return done;
}

// Charts in view are drawn at once and the others one after the other, so that a page with many can be read meanwhile.
// The room of all of them is kept from the beginning, so that nothing moves when they appear.
const waiting = [];
function drawWhenInTurn(figures) {
  const inView = [];
  const inOrder = figures.sort(([one], [other]) => one.localeCompare(other, "en", { numeric: true }));
  for (const [id, figure] of inOrder) {
    const place = document.getElementById(id), { height } = fitted(figure, place.clientWidth).layout;
    if (height) place.style.minHeight = `${height}px`;
    (place.getBoundingClientRect().top < innerHeight ? inView : waiting).push([id, figure]);
  }
  for (const [id, figure] of inView) draw(id, figure);
  addEventListener("load", () => setTimeout(drawNext));
}

function drawNext() {
  if (waiting.length) draw(...waiting.shift());
  if (waiting.length) setTimeout(drawNext);
}

function redraw() {
  while (waiting.length) draw(...waiting.shift());
  drawn.forEach(({ figure }, place) => draw(place.id, figure));
  reach();
}

// A chart as a PNG on white paper, twice as fine as on the screen, as a data address.
function picture(place) {
  const { width, height } = place.querySelector(".main-svg").getBoundingClientRect();
  const layout = { ...styled(place.layout, true), width, height };
  return Plotly.toImage({ data: place.data, layout }, { format: "png", width, height, scale: 2 });
}

// ---- copies to take along

function offer(place, text, action) {
  const button = make("button", { type: "button", className: "take", textContent: text, onclick: action });
  button.setAttribute("aria-label", `${text}: ${headingOf(place)}`);
  place.after(button);
}

const headingOf = (place) => (place.closest("section")?.querySelector("h2") ?? document.querySelector("h1")).textContent;

function nameOf(place, ending) {
  const words = `${document.body.dataset.name ?? ""} ${headingOf(place)}`.toLowerCase();
  return `${words.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "")}.${ending}`;
}

function save(href, download) {
  const link = make("a", { href, download });
  document.body.append(link);
  link.click();
  link.remove();
}

// A cell that a spreadsheet would take for a formula gets an apostrophe, as pipeline/reports/csv_text.py has it.
const FORMULA = /^'*\s*[\t\r\n=+\-@＝＋－＠]/, NUMBER = /^[+-]?[0-9]+(?:[.,][0-9]+)*(?:[eE][+-]?[0-9]{1,3})?$/;
function csvCell(text) {
  // 1,234 is a number for programs without its comma, which only in English is no decimal mark.
  const grouped = document.body.dataset.separators === ".," && /^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$/.test(text);
  const plain = grouped ? text.replaceAll(",", "") : text;
  const safe = FORMULA.test(plain) && !NUMBER.test(plain) ? `'${plain}` : plain;
  return /[",\r\n;\t]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

// A figure with its unit is text to a spreadsheet: where all figures of a column have the same one, it goes to the heading.
const FIGURE = /^([+-]?)([^\d\s+-]{0,4})([+-]?\d[\d.,]*)(?: (%))?$/;
function unitOf(cells) {
  const figures = cells.filter((text) => text && text !== "–").map((text) => FIGURE.exec(text));
  const units = new Set(figures.map((found) => found && (found[4] ?? found[2])));
  return units.size === 1 && figures.every((found) => found && !(found[4] && found[2])) ? [...units][0] : "";
}

function csvOf(table) {
  const rows = [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent)), [heads, ...body] = rows;
  const units = heads.map((_, n) => unitOf(body.map((row) => row[n] ?? "")));
  const bare = (text, n) => (units[n] ? text.replace(FIGURE, "$1$3") : text);
  const titled = heads.map((head, n) => (units[n] && !head.split(", ").includes(units[n]) ? `${head}, ${units[n]}` : head));
  return [titled, ...body.map((row) => row.map(bare))].map((row) => row.map(csvCell).join(",") + "\n").join("");
}

function saveTable(table) {
  // The mark at its beginning tells spreadsheets that it is UTF-8.
  const address = URL.createObjectURL(new Blob(["\ufeff", csvOf(table)], { type: "text/csv" }));
  save(address, nameOf(table, "csv"));
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// ---- ways to other pages

const DAY = /\d{4}-\d{2}-\d{2}/g;
const lists = window.aislePages ?? {};
const dayIn = (name) => name.match(DAY)?.at(-1);
const isDay = (name) => dayIn(name) === name;
const utc = (day) => new Date(`${day}T00:00Z`);
const format = (day, options) => utc(day).toLocaleDateString("en-GB", { ...options, timeZone: "UTC" });
const titleOf = (name) => (isDay(name) ? format(name, { day: "numeric", month: "long", year: "numeric" }) : name);
const later = (day, days) => new Date(utc(day).getTime() + days * 86_400_000).toISOString().slice(0, 10);

function ways(nav) {
  const { root, folder, name, related } = JSON.parse(nav.dataset.place);
  const address = (inFolder, page) => root + [...inFolder.split("/"), `${page}.html`].filter(Boolean).map(encodeURIComponent).join("/");
  const link = (inFolder, page, text, rel = "") => make("a", { href: address(inFolder, page), textContent: text, rel });
  const row = (label, links) => {
    if (links.length) nav.append(make("div", {}, ...(label ? [make("span", { textContent: label })] : []), ...links));
  };

  const own = lists[folder] ?? [], at = own.indexOf(name), has = (page) => lists[""]?.includes(page) && name !== page;
  const first = [];
  if (has("index")) first.push(link("", "index", "This morning"));
  if (has("all")) first.push(link("", "all", "All pages"));
  if (folder && at > 0) first.push(link(folder, own[at - 1], `← ${titleOf(own[at - 1])}`, "prev"));
  if (folder && at >= 0 && at + 1 < own.length) first.push(link(folder, own[at + 1], `${titleOf(own[at + 1])} →`, "next"));
  row("", first);

  const day = dayIn(name), others = [];
  for (const { text, folder: other, days } of day ? related : []) {
    const found = (lists[other] ?? []).filter((page) => dayIn(page) === later(day, days)).at(-1);
    if (found && other !== folder) others.push(link(other, found, text));
  }
  row("The same day:", others);
  row("", [...nav.querySelectorAll("a.outward")]);
  row("", related.filter(({ search }) => search).flatMap(({ folder: other, search }) => {
    const pages = (lists[other] ?? []).filter(isDay);
    const found = other === folder ? name : pages.includes(day) ? day : pages.at(-1);
    return found ? [searchForm(search, address(other, found))] : [];
  }));
  if (folder && own.length > 1)
    nav.append(make("details", {}, make("summary", { textContent: isDay(name) ? "Calendar" : `All ${own.length} pages` }),
      calendar(folder, own, name, link)));
  for (const place of document.querySelectorAll("[data-calendar]"))
    place.append(calendar(place.dataset.calendar, lists[place.dataset.calendar] ?? [], "", link));
}

// A form that opens the page that can search for what was typed, and hands it over: page.html#store=12.
function searchForm(noun, page) {
  const id = `find-${noun}`, field = make("input", { id, type: "search", maxLength: 64, autocomplete: "off" });
  const label = make("label", { htmlFor: id, textContent: `Find a ${noun}` });
  const form = make("form", { className: "find" }, label, field, make("button", { type: "submit", textContent: "Show" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim(), before = location.href;
    if (!text) return;
    location.href = `${page}#${noun}=${encodeURIComponent(text)}`;
    // The same once more changes no address, and has to be shown all the same.
    if (location.href === before) dispatchEvent(new HashChangeEvent("hashchange"));
  });
  return form;
}

// Call a function with what the address asks for, as in #store=12, now and whenever that changes, and scroll to its place.
// Returns whether anything is asked for now.
function onAsked(noun, place, show) {
  const look = () => {
    const text = new URLSearchParams(location.hash.slice(1)).get(noun);
    if (text) {
      show(text);
      place.closest("section").scrollIntoView();
    }
    return Boolean(text);
  };
  addEventListener("hashchange", look);
  return look();
}

// The pages of a folder by month, the newest first; those that are not named by a day as a list.
function calendar(folder, names, current, link) {
  const place = make("div", { className: "calendar" }), days = names.filter(isDay), others = names.filter((name) => !isDay(name));
  const entry = (name, text) => {
    const made = link(folder, name, text);
    if (name === current) made.setAttribute("aria-current", "page");
    return made;
  };
  const months = [...new Set(days.map((day) => day.slice(0, 7)))].sort().reverse();
  place.append(...months.map((month) => {
    const title = format(`${month}-01`, { month: "long", year: "numeric" });
    const offset = (utc(`${month}-01`).getUTCDay() + 6) % 7;
    const length = new Date(Date.UTC(+month.slice(0, 4), +month.slice(5), 0)).getUTCDate();
    const cells = Array.from({ length: offset + length }, (_, n) => {
      const number = n - offset + 1, day = `${month}-${String(number).padStart(2, "0")}`;
      return make("td", {}, ...(number < 1 ? [] : [days.includes(day) ? entry(day, String(number)) : String(number)]));
    });
    const weeks = Array.from({ length: Math.ceil(cells.length / 7) }, (_, n) => make("tr", {}, ...cells.slice(7 * n, 7 * n + 7)));
    const heads = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"].map((text) => make("th", { textContent: text, scope: "col" }));
    return make("table", {}, make("caption", { textContent: title }), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...weeks));
  }));
  if (others.length)
    place.append(make("ul", {}, ...others.reverse().map((name) => make("li", {}, entry(name, name)))));
  return place;
}

// Airflow shows pages in a frame that may neither open windows nor leave; its own page around the frame may.
function leave(event) {
  const link = event.target.closest?.("a.outward");
  if (!link || window.parent === window) return;
  try {
    const copy = Object.assign(parent.document.createElement("a"), { href: link.href, target: "_blank", rel: "noopener" });
    parent.document.body.append(copy);
    copy.click();
    copy.remove();
    event.preventDefault();
  } catch {
    // A page of another site is around the frame: the link is an ordinary one.
  }
}

// ---- the page

const charts = document.getElementById("figure-data");
if (charts) drawWhenInTurn(Object.entries(JSON.parse(charts.textContent)));
for (const scroll of document.querySelectorAll(".scroll")) {
  const table = scroll.querySelector("table");
  if (table?.tBodies[0]?.rows.length) offer(scroll, "Table (CSV)", () => saveTable(table));
}
const nav = document.querySelector("nav.ways");
if (nav) ways(nav);
document.addEventListener("click", leave);

// What scrolls can be scrolled by keyboard, too.
function reach() {
  for (const place of document.querySelectorAll(".scroll, .figure"))
    if (place.scrollWidth > place.clientWidth) place.tabIndex = 0;
    else place.removeAttribute("tabindex");
}
reach();
addEventListener("resize", reach);

// Paper is narrower than a window, and white.
paper.addEventListener("change", redraw);
