// Footfall: the buyers to expect among a number of visitors, and among fewer and more.

import { byId, decimal, onSubmit, request, sentence, whole } from "./api.js";
import { drawChart } from "./chart.js";

const STEPS = 40; // Of the chart, up to twice the visitors.

export function showFootfall(example) {
  const form = byId("footfall-form");
  form.visitors.value = Math.round(example.visitors);
  byId("footfall").hidden = false;
  return onSubmit(form, byId("footfall-summary"), () => showBuyers(Number(form.visitors.value)));
}

async function showBuyers(visitors) {
  byId("footfall-chart").hidden = true;
  const places = Array.from({ length: STEPS + 1 }, (_, n) => (visitors * 2 * n) / STEPS);
  const answers = await request("/footfall", places.map((number) => ({ visitors: number })));
  const refused = answers.find((answer) => answer.error);
  if (refused) throw new Error(sentence(refused.error));
  const { buyers, low, high, model_version: version } = answers[STEPS / 2];
  byId("footfall-summary").textContent =
    `Among ${whole(visitors)} visitors ${decimal(buyers, 1)} buyers are expected; on 95 of 100 such days there are ` +
    `${decimal(low, 1)} to ${decimal(high, 1)}. By model version ${version}.`;
  if (!visitors) return;
  drawChart(byId("footfall-chart"), {
    places,
    label: whole,
    labelEvery: 5,
    x: "visitors",
    y: "buyers",
    amount: whole,
    spans: [],
    dividers: [],
    bands: [{ name: "wide", low: answers.map((answer) => Math.max(0, answer.low)), high: answers.map((answer) => answer.high) }],
    lines: [{ name: "mean", values: answers.map((answer) => answer.buyers) }],
    shown: STEPS / 2,
    read: (n) => `${whole(places[n])} visitors: ${decimal(answers[n].buyers, 1)} buyers, 95 of 100 days ${decimal(answers[n].low, 1)} to ${decimal(answers[n].high, 1)}`,
  });
}
