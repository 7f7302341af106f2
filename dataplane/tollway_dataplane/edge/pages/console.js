"use strict";
// Asks for the state every two seconds and puts it into the page as text, never as markup. What has not changed is left
// alone, so that nobody who reads a table, or hears it read, is thrown out of it.

const EVERY_MS = 2000;
const byId = (id) => document.getElementById(id);
const number = (value) => ({ text: value.toLocaleString("en"), isNumber: true });
const amount = (text) => ({ text, isNumber: true });

const TABLES = {
  requests: (row) => [row.source, number(row.lately), number(row.total)],
  data_planes: (row) => [row.name, row.state, row.revision || "none", row.since, number(row.requests), number(row.in_flight)],
  budgets: (row) => [row.owner, row.limit, amount(row.used), { text: share(row), share: row.share }, row.window],
  decisions: (row) => [
    row.at, row.tenant || "unknown", row.source, row.model || "none", row.why, amount(String(row.status)),
    amount(row.ms), amount(row.cost_usd), amount(row.saved_usd), row.policy || "none", row.request_id,
  ],
};

function share(row) {
  return row.state ? `${row.percent}, ${row.state}` : row.percent;
}

function cell(value, isFirst) {
  const made = document.createElement(isFirst ? "th" : "td");
  if (isFirst) made.scope = "row";
  if (value.isNumber) made.className = "n";
  if (value.share !== undefined) {
    const meter = document.createElement("meter");
    meter.value = value.share;
    meter.setAttribute("aria-hidden", "true"); // the text beside it says the same
    made.append(meter);
  }
  made.append(value.text ?? value);
  return made;
}

const shown = {};

function changed(id, value) {
  const text = JSON.stringify(value);
  if (shown[id] === text) return false;
  shown[id] = text;
  return true;
}

function say(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

function fill(id, rows) {
  if (!changed(id, rows)) return;
  const table = byId(id);
  table.tBodies[0].replaceChildren(...rows.map((row) => {
    const made = document.createElement("tr");
    made.append(...TABLES[id](row).map((value, place) => cell(value, place === 0)));
    return made;
  }));
  table.parentElement.hidden = rows.length === 0;
  const empty = byId(`${id}-empty`);
  if (empty) empty.hidden = rows.length > 0;
}

function show(state) {
  say("where", `Seen from the data plane ${state.name}.`);
  say("alone", state.alone && `Only this data plane's own figures: ${state.alone}.`);
  if (changed("amiss", state.amiss)) {
    byId("amiss").replaceChildren(...state.amiss.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }));
    byId("amiss").hidden = state.amiss.length === 0;
  }
  for (const element of document.querySelectorAll("[data-total]")) {
    const value = state.totals[element.dataset.total];
    const text = typeof value === "number" ? value.toLocaleString("en") : value || "–";
    if (element.textContent !== text) element.textContent = text;
  }
  for (const id of Object.keys(TABLES)) fill(id, state[id]);
  say("more_budgets", state.more_budgets ? `${state.more_budgets} more limits are less full.` : "");
}

let paused = false;
let turn = 0;

async function refresh() {
  const mine = ++turn;
  try {
    // By the origin: an address that a name and a password stand in is none that may be fetched.
    const reply = await fetch(new URL("/console/state", location.origin), { signal: AbortSignal.timeout(10000) });
    if (reply.status === 401) throw new Error("the admin token is another one now; load the page again");
    if (!reply.ok) throw new Error(`it answered ${reply.status}`);
    const state = await reply.json();
    if (mine !== turn) return;
    show(state);
    document.body.classList.remove("lost");
    if (!paused) say("news", "Up to date.");
  } catch (error) {
    if (mine !== turn) return;
    document.body.classList.add("lost");
    const why = error instanceof TypeError || error.name === "TimeoutError" ? "it does not answer" : error.message;
    say("news", `The data plane is away (${why}). What is here is old; it is asked again.`);
  }
  if (!paused) setTimeout(() => mine === turn && refresh(), EVERY_MS);
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").textContent = paused ? "Go on" : "Pause";
  say("news", paused ? "Paused." : "Asking …");
  turn += 1; // whatever is under way is not shown any more
  if (!paused) refresh();
});

refresh();
