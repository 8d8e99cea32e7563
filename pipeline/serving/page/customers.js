// A customer: the segment, the expected value with its interval, and both lists of products.

import { byId, decimal, keepInAddress, make, money, onSubmit, percent, readDay, request, wanted } from "./api.js";

const MONEY = "transactions"; // The table whose currency amounts have.

export function showCustomers(example) {
  const form = byId("customer-form");
  form.customer.value = wanted("customer") || example.customer;
  byId("customers").hidden = false;
  return onSubmit(form, byId("customer-summary"), () => showCustomer(form));
}

async function showCustomer(form) {
  byId("customer").replaceChildren();
  const id = form.customer.value.trim();
  if (!id) throw new Error("Enter the number of a customer.");
  const found = await request(`/customers/${encodeURIComponent(id)}`);
  keepInAddress("customer", id);
  byId("customer-summary").textContent = `Customer ${found.customer} as of ${readDay(found.as_of)}: ${found.segment_name}. ${found.description.join(" ")}`;
  byId("customer").replaceChildren(
    part("Expected in the 92 days from then on", found.expected ? valueOf(found.expected) : make("p", "No value has been predicted yet.")),
    part("Buys again", listOf(found.buy_again)),
    part("New to the customer", listOf(found.new_to_you)),
  );
}

function part(heading, content) {
  const made = make("article");
  made.append(make("h3", heading), content);
  return made;
}

function valueOf(expected) {
  const facts = [
    ["revenue", money(expected.revenue, MONEY)],
    ["80 of 100 such customers", `${money(expected.revenue_low, MONEY)} – ${money(expected.revenue_high, MONEY)}`],
    ["chance of a purchase", percent(expected.purchase_chance)],
    ["purchases", decimal(expected.purchases, 1)],
    ["tenth by expected revenue", `${expected.decile} of 10 (1 is the highest)`],
  ];
  const list = make("dl");
  for (const [name, value] of facts) list.append(make("dt", name), make("dd", value));
  return list;
}

function listOf(products) {
  if (products === null) return make("p", "No list has been made yet.");
  if (!products.length) return make("p", "Nothing to recommend.");
  const list = make("ol");
  list.append(...products.map((product) => make("li", product)));
  return list;
}
