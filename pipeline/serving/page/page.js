// The start page: what the models in use answer, each part filled with an example at once. All data are the service's.

import { byId, counted, make, request, trained, writeNumbersAs } from "./api.js";
import { showCustomers } from "./customers.js";
import { showFootfall } from "./footfall.js";
import { showShelf } from "./shelf.js";
import { showStores } from "./stores.js";

const SHOWN_METRICS = 6;
// Path of an endpoint -> what shows it, from the first row of its example.
const PARTS = {
  "/predict": ["forecast", "store-summary", showStores],
  "/customers": ["customers", "customer-summary", showCustomers],
  "/shoppers/shelf": ["shelf", "shelf-summary", showShelf],
  "/footfall": ["footfall", "footfall-summary", showFootfall],
};

function card(states) {
  const [model] = states, article = make("article"), heading = make("h3");
  heading.append(make("a", model.name.replaceAll("_", " "), { href: `/model/${encodeURIComponent(model.name)}` }));
  article.append(heading, make("p", `Version ${model.version}, ${trained(model)}. In use since ${model.since.slice(0, 16).replace("T", " ")} UTC.`));
  const metrics = Object.entries(model.measured).slice(0, SHOWN_METRICS);
  const list = make("dl");
  list.append(make("dt", "answers"), make("dd", states.map((state) => state.route).join(", ")));
  for (const [name, value] of metrics) list.append(make("dt", name), make("dd", value));
  article.append(list);
  for (const { reload } of states) {
    if (reload && reload.outcome === "failed") article.append(make("p", `The last reload failed: ${reload.text}.`, { class: "bad" }));
  }
  return article;
}

function showModels({ models, routes }) {
  const byName = grouped(models);
  byId("models").replaceChildren(...[...byName.values()].map(card));
  const missing = new Set(Object.values(routes).filter((reload) => reload && reload.outcome === "none").map((reload) => reload.text));
  byId("state").textContent = models.length
    ? `${counted(byName.size, "model")} ${byName.size === 1 ? "is" : "are"} in use.${[...missing].map((text) => ` There is ${text.replaceAll("_", " ")}.`).join("")}`
    : "No model is in use yet. The first training and its promotion put one in use: aisle train, aisle promote.";
}

function grouped(models) {
  const found = new Map();
  for (const model of models) found.set(model.name, [...(found.get(model.name) || []), model]);
  return found;
}

async function start() {
  const state = await request("/model");
  writeNumbersAs(state);
  showModels(state);
  const loaded = new Set(state.models.map((model) => model.route));
  const { paths } = await request("/openapi.json");
  for (const [path, [section, status, show]] of Object.entries(PARTS)) {
    const example = paths[path]?.post.requestBody.content["application/json"].example;
    if (!loaded.has(path) || !example) continue;
    byId(`to-${section}`).hidden = false;
    show(example.rows[0]).catch((error) => {
      byId(section).hidden = false;
      byId(status).textContent = error.message;
      byId(status).className = "bad";
    });
  }
}

start().catch((error) => {
  byId("state").textContent = error.message;
  byId("state").className = "bad";
});
