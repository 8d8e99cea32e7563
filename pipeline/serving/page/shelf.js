// A shelf: what all known shoppers are expected to buy in a week at today's prices, and at others.

import { byId, change, decimal, make, money, onSubmit, percent, readDay, request, sentence, table, unitOf, whole } from "./api.js";

const MONEY = "visits"; // The table whose currency prices have.
const RISE = 1.1; // The example raises the first brand's price by a tenth.

export async function showShelf() {
  const [today] = await request("/shoppers/shelf", [{}]);
  if (today.error) throw new Error(sentence(today.error));
  const form = byId("shelf-form"), brands = Object.entries(today.brands);
  byId("brands").replaceChildren(...brands.map(([brand, { price, promoted }], n) => inputs(brand, n ? price : price * RISE, promoted)));
  byId("shelf-legend").textContent = `Brand, price (${unitOf(MONEY)}), promoted`;
  byId("shelf").hidden = false;
  return onSubmit(form, byId("shelf-summary"), () => showWeek(form, today));
}

// The fields of a brand; its name is text from a delivery, so it stands in labels only, and fields go by their order.
function inputs(brand, price, promoted) {
  const row = make("div");
  const box = make("input", null, { type: "checkbox", name: "promoted", "aria-label": `brand ${brand} is promoted` });
  box.checked = promoted;
  const field = make("input", null, { type: "number", name: "price", min: 0.01, max: 1000000, step: 0.01, required: "", "aria-label": `price of brand ${brand}` });
  field.value = price.toFixed(2);
  row.append(make("span", `brand ${brand}`), field, box);
  return row;
}

async function showWeek(form, today) {
  byId("shelf-week").replaceChildren();
  const brands = Object.keys(today.brands), rows = [...byId("brands").children];
  const prices = {}, promotions = {};
  brands.forEach((brand, n) => {
    const [price, promoted] = rows[n].querySelectorAll("input");
    prices[brand] = Number(price.value);
    promotions[brand] = promoted.checked;
  });
  const [week] = await request("/shoppers/shelf", [{ prices, promotions }]);
  if (week.error) throw new Error(sentence(week.error));
  const versions = Object.entries(week.model_versions).map(([name, version]) => `${name.replaceAll("_", " ")} version ${version}`);
  byId("shelf-summary").textContent =
    `A week of ${whole(week.visits)} visits, from the shoppers as of ${readDay(week.as_of)}: ${whole(week.units.value)} units for ` +
    `${money(week.revenue.value, MONEY)} at these prices, ${whole(today.units.value)} for ${money(today.revenue.value, MONEY)} at today's. ` +
    `By ${versions.join(", ")}.`;
  byId("shelf-week").replaceChildren(
    table("The week at these prices", ["figure", "today", "at these prices", "change", "95 % interval of the change"], [
      chances(today, week),
      ...["purchases", "units", "revenue"].map((name) => total(name, today, week)),
    ]),
    table("By brand", ["brand", "price today", "price", "chosen today", "chosen", "units a purchase", "units today", "units", "change"], brands.map((brand) => ofBrand(brand, today, week))),
  );
}

function chances(today, week) {
  const [before, after] = [today, week].map(({ purchases, visits }) => purchases.value / visits);
  return ["chance of a purchase at a visit", percent(before), percent(after), change(after / before - 1), interval(week.purchases_change)];
}

function total(name, today, week) {
  const written = name === "revenue" ? (value) => money(value, MONEY) : (value) => decimal(value, 1);
  const changed = week[`${name}_change`];
  return [`${name} a week`, written(today[name].value), written(week[name].value), change(changed.value), interval(changed)];
}

const interval = ({ low, high }) => `${change(low)} to ${change(high)}`;

// The share of the purchases that are of a brand, the units of one, and its units in the week.
function ofBrand(brand, today, week) {
  const [before, after] = [today, week].map((one) => ({ ...one.brands[brand], share: one.brands[brand].purchases.value / one.purchases.value }));
  return [
    `brand ${brand}`,
    money(before.price, MONEY, 2) + (before.promoted ? ", promoted" : ""),
    money(after.price, MONEY, 2) + (after.promoted ? ", promoted" : ""),
    percent(before.share),
    percent(after.share),
    decimal(after.units.value / after.purchases.value, 2),
    decimal(before.units.value, 1),
    decimal(after.units.value, 1),
    change(after.units.value / before.units.value - 1),
  ];
}
