// A store: its last weeks as recorded, the forecast of its planned weeks, and what another plan would change.

import {
  addDays, ask, atDay, byId, change, counted, keepInAddress, listDays, make, money, ofDay, onSubmit, readDay, request, table, unitOf, wanted,
} from "./api.js";
import { drawChart } from "./chart.js";

const SALES = "store_days"; // The table whose currency sales have.
const amount = (value) => money(value, SALES, 0);

export async function showStores() {
  const { about } = await request("/model/store_sales");
  byId("stores").replaceChildren(...about.stores.map((store) => make("option", null, { value: store })));
  const form = byId("store-form");
  form.store.value = wanted("store") || about.stores[0];
  for (const name of ["promo_from", "promo_until", "closed_from", "closed_until"]) {
    form[name].min = about.from;
    form[name].max = about.until;
  }
  const first = await request(`/stores/${encodeURIComponent(form.store.value)}`).catch(() => null);
  if (first) fillExample(form, first.planned);
  byId("forecast").hidden = false;
  return onSubmit(form, byId("store-summary"), () => showStore(form, about));
}

// A promotion in the first whole week that is planned without one.
function fillExample(form, planned) {
  const monday = planned.find((plan, n) => new Date(plan.day).getUTCDay() === 1 && planned.slice(n, n + 6).every((day) => day.promo === false));
  if (!monday) return;
  form.promo.value = "on";
  form.promo_from.value = monday.day;
  form.promo_until.value = addDays(monday.day, 5);
}

async function showStore(form, about) {
  byId("store-chart").hidden = true;
  byId("store-days").replaceChildren();
  const text = form.store.value.trim();
  if (!/^\d{1,9}$/.test(text)) throw new Error("Enter the number of a store: a whole number.");
  const number = Number(text);
  if (!about.stores.includes(number)) {
    throw new Error(`Store ${number} is not known. The list has the ${counted(about.stores.length, "store")} with sales before ${about.from}.`);
  }
  keepInAddress("store", number);
  const store = await request(`/stores/${number}`);
  const rows = store.planned.map(({ day }) => ({ store: number, day }));
  const changed = withChanges(rows, form);
  const forecast = (plan) => ask("/predict", { rows: plan, sum_over: "store" });
  const [{ answers: planned, sums: [sum] }, other] = await Promise.all([
    forecast(rows),
    changed && forecast(changed).then(({ answers }) => answers),
  ]);
  const days = store.planned.map((plan, n) => ({
    ...plan,
    forecast: planned[n].error ? null : planned[n],
    other: other && !other[n].error ? other[n] : null,
  }));
  byId("store-summary").textContent = planned.every((answer) => answer.error)
    ? `Store ${number} has no forecast from ${readDay(days[0].day)} on. ${planned[0].error.what}. Its last weeks are below.`
    : summary(number, store, days, Boolean(changed), sum);
  draw(store, days);
  showTable(number, store.recorded, days, Boolean(changed));
}

// The rows with the changes of the form; null if it changes nothing.
function withChanges(rows, form) {
  const within = (name, day) => form[`${name}_from`].value && form[`${name}_from`].value <= day && day <= (form[`${name}_until`].value || form[`${name}_from`].value);
  for (const name of ["promo", "closed"]) {
    const [from, until] = [form[`${name}_from`].value, form[`${name}_until`].value];
    if (from && until && until < from) throw new Error(`The ${name === "promo" ? "promotion" : "closure"} ends before it begins: ${from} to ${until}.`);
  }
  let isChanged = false;
  const changed = rows.map((row) => {
    const promo = form.promo.value && within("promo", row.day) ? { promo: form.promo.value === "on" } : {};
    const open = within("closed", row.day) ? { open: false } : {};
    isChanged ||= Object.keys({ ...promo, ...open }).length > 0;
    return { ...row, ...promo, ...open };
  });
  return isChanged ? changed : null;
}

const total = (days, name) => days.reduce((sum, day) => sum + (day[name] ? day[name].mean : 0), 0);

// `sum` is that of the plan with its intervals; an error where a day has no forecast.
function summary(number, store, days, isChanged, sum) {
  const open = days.filter((day) => day.forecast && day.forecast.open);
  const version = days.find((day) => day.forecast).forecast.model_version;
  const sentences = [
    `Store ${number}, ${readDay(days[0].day)} to ${readDay(days[days.length - 1].day)}: expected sales of ` +
      `${amount(total(days, "forecast"))} on ${counted(open.length, "open day")}, by model version ${version}.`,
  ];
  if (!sum.error) sentences.push(`For 80 of 100 such plans the total is ${amount(sum.low_80)} to ${amount(sum.high_80)}.`);
  if (isChanged) {
    // Only days that both plans have are compared.
    const both = days.filter((day) => day.forecast && day.other);
    const [plan, other] = [total(both, "forecast"), total(both, "other")];
    sentences.push(`With your change ${amount(other)}, which is ${plan ? change(other / plan - 1) : "not comparable"} against the plan.`);
  }
  const unplanned = days.filter((day) => !day.forecast).map((day) => day.day);
  if (unplanned.length) sentences.push(`Not in the plan, so without a forecast: ${listDays(unplanned)}.`);
  const unrecorded = store.recorded.filter((day) => day.open === null).map((day) => day.day);
  if (unrecorded.length) sentences.push(`No delivery had ${listDays(unrecorded)}.`);
  if (!store.recorded.length) sentences.push("The last weeks are shown after the next scoring.");
  return sentences.join(" ");
}

function draw(store, days) {
  const all = [...store.recorded, ...days];
  const of = (part, name) => all.map((day) => (day[part] && day[part].open ? day[part][name] : null));
  const missing = all.filter((day) => day.open === null && !day.forecast);
  drawChart(byId("store-chart"), {
    places: all.map((day) => atDay(day.day)),
    label: (place) => readDay(ofDay(place), { day: "numeric", month: "short" }),
    labelEvery: 7,
    x: "day",
    y: `sales a day, ${unitOf(SALES)}`,
    amount,
    spans: missing.map((day) => ({ name: "missing", from: atDay(day.day), until: atDay(day.day) })),
    dividers: [{ at: atDay(store.as_of), text: "forecast" }],
    bands: [
      { name: "wide", low: of("forecast", "low_95"), high: of("forecast", "high_95") },
      { name: "likely", low: of("forecast", "low_80"), high: of("forecast", "high_80") },
    ],
    lines: [
      { name: "recorded", values: all.map((day) => day.sales ?? null), dots: true },
      { name: "other", values: of("other", "mean"), dots: true },
      { name: "mean", values: of("forecast", "mean"), dots: true },
    ],
    shown: days.some((day) => day.forecast) ? store.recorded.length : Math.max(0, store.recorded.length - 1),
    read: (n) => readOne(all[n]),
  });
}

function readOne(day) {
  const plan = day.open === null ? [] : [day.promo ? "promotion" : "no promotion"];
  if (day.state_holiday && day.state_holiday !== "none") plan.push(`${day.state_holiday} holiday`);
  if (day.school_holiday) plan.push("school holiday");
  return `${readDay(day.day)}: ${valueOf(day)}${plan.length ? ` (${plan.join(", ")})` : ""}`;
}

function valueOf(day) {
  if ("sales" in day) return day.open === null ? "no delivery had this day" : day.open ? `sold ${amount(day.sales)}` : "closed";
  const other = day.other ? `; with your change ${expected(day.other)}` : "";
  return (day.forecast ? expected(day.forecast) : "not in the plan") + other;
}

const expected = (answer) =>
  answer.open ? `expected ${amount(answer.mean)}, on 80 of 100 such days ${amount(answer.low_80)} to ${amount(answer.high_80)}` : "closed";

function showTable(number, recorded, days, isChanged) {
  const interval = (answer, level) => (answer && answer.open ? `${amount(answer[`low_${level}`])} – ${amount(answer[`high_${level}`])}` : "");
  const value = (answer) => (answer ? (answer.open ? amount(answer.mean) : "closed") : "not in the plan");
  const promo = (day) => (day.promo === null ? "not known" : day.promo ? "yes" : "no");
  const columns = ["day", "promotion", "expected", "80 of 100 such days", "95 of 100 such days", ...(isChanged ? ["with your change"] : [])];
  const rows = days.map((day) => [
    readDay(day.day), promo(day), value(day.forecast), interval(day.forecast, 80), interval(day.forecast, 95), ...(isChanged ? [value(day.other)] : []),
  ]);
  const past = recorded.map((day) => [readDay(day.day), promo(day), day.open === null ? "no delivery" : day.open ? amount(day.sales) : "closed"]);
  byId("store-days").replaceChildren(
    table(`Forecast of store ${number}`, columns, rows),
    ...(past.length ? [table(`Recorded sales of store ${number}`, ["day", "promotion", "sales"], past)] : []),
  );
}
