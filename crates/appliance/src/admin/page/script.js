"use strict";
// Whatever comes from traffic becomes text, never markup: nodes are made by `el`, which sets textContent only.

const POLL_MS = 1000, HIDDEN_MS = 10000, FAILING_MS_MAX = 10000, ANSWER_MS_MAX = 5000;
const WINDOW_MS = 120000;
const CONNECTIONS_MAX = 1000, CONNECTION_ROWS_MAX = 200, EVENTS_MAX = 2000, EVENT_ROWS_MAX = 200, BARS_MAX = 7;
const ARMED_MS = 3000, SAID_MS = 4000;
const DIRECTIONS = ["to_server", "to_client"];
const ARROWS = { to_server: "to server", to_client: "to client" };

const $ = id => document.getElementById(id);

function el(tag, settings = {}, ...children) {
  const node = document.createElement(tag);
  set(node, settings);
  node.append(...children);
  return node;
}
function svg(tag, attributes = {}, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
function set(node, { text, on = {}, ...attributes }) {
  if (text !== undefined && node.textContent !== String(text)) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? "" : value);
  }
  for (const [name, listener] of Object.entries(on)) node.addEventListener(name, listener);
}

// Figures.

function count(value) {
  if (value < 10000) return String(Math.round(value));
  const [scale, unit] = value < 1e6 ? [1e3, "k"] : value < 1e9 ? [1e6, "M"] : [1e9, "G"];
  return (value / scale).toFixed(value / scale < 100 ? 1 : 0).replace(/\.0$/, "") + unit;
}
const rate = value => (value > 0 && value < 9.95 ? value.toFixed(1).replace(/\.0$/, "") : count(value));
function size(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
}
const plural = (number, one, many = one + "s") => `${count(number)} ${number === 1 ? one : many}`;
const sum = numbers => numbers.reduce((total, each) => total + each, 0);

// Asking.

/** Samples of the Prometheus text format, as {name, labels, value}. */
function parseMetrics(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const parts = /^([a-z_]+)(?:\{(.*)\})? (\d+)$/.exec(line);
    if (!parts) continue;
    const labels = {};
    for (const [, name, value] of (parts[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value.replace(/\\(.)/g, (_, escaped) => (escaped === "n" ? "\n" : escaped));
    }
    samples.push({ name: parts[1], labels, value: Number(parts[3]) });
  }
  const find = (name, wanted = {}) =>
    samples.filter(each => each.name === name && Object.entries(wanted).every(([key, value]) => each.labels[key] === value));
  return { find, total: (name, wanted) => sum(find(name, wanted).map(each => each.value)) };
}

let token = sessionStorage.getItem("token") ?? "";

async function ask(path, { method = "GET", secret = token } = {}) {
  const headers = secret ? { Authorization: `Bearer ${secret}` } : {};
  const answer = await fetch(path, { method, headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  if (path === "/metrics") return parseMetrics(await answer.text());
  const value = await answer.json();
  if (!answer.ok) throw new Refused(value.error);
  return value;
}
/** The inspector answered, and said why not. */
class Refused extends Error {}

const query = settings => new URLSearchParams(settings).toString();

// What is known.

const now = { status: null, metrics: null, connections: [], found: 0, events: [], next: 0 };
const samples = [];
let lastTotals = null;
let failures = 0, failingSince = null, polling = 0, isAsking = false, isStale = false;

/** One poll at a time: what is asked for meanwhile comes right after it. */
async function poll() {
  isStale = isAsking;
  if (isAsking) return;
  clearTimeout(polling);
  isAsking = true;
  try {
    const [status, metrics, listed, heard] = await Promise.all([
      ask("/api/status"), ask("/metrics"),
      ask("/api/connections?" + query({ limit: CONNECTIONS_MAX })), ask("/api/events?" + query({ since: now.next, limit: EVENTS_MAX })),
    ]);
    failures = 0;
    failingSince = null;
    takeConnections(listed);
    takeEvents(heard);
    Object.assign(now, { status, metrics });
    takeSample(metrics);
    show();
    if (timelineId !== null) await updateTimeline();
  } catch (error) {
    failures += 1;
    failingSince ??= new Date();
    showTrouble(error);
  }
  isAsking = false;
  if (isStale) return poll();
  const failing = Math.min(POLL_MS * 2 ** failures, FAILING_MS_MAX);
  polling = setTimeout(poll, Math.max(failures ? failing : POLL_MS, document.hidden ? HIDDEN_MS : 0));
}

function takeConnections({ connections, found }) {
  const at = performance.now();
  const before = new Map(now.connections.map(each => [each.id, each]));
  for (const each of connections) {
    each.messages = each.messages_to_server + each.messages_to_client;
    const earlier = before.get(each.id);
    each.at = at;
    each.rate = earlier ? Math.max(0, (each.messages - earlier.messages) / ((at - earlier.at) / 1000)) : 0;
  }
  Object.assign(now, { connections, found });
}

function takeEvents({ events, next }) {
  if (next < now.next) {
    // It was restarted, and counts from the beginning; the next poll asks for all it has.
    Object.assign(now, { events: [], next: 0 });
    return restartStream();
  }
  const fresh = events.filter(each => each !== null).map(record => ({ record, raw: JSON.stringify(record).toLowerCase() }));
  now.next = next;
  now.events = now.events.concat(fresh).slice(-EVENTS_MAX);
  addToStream(fresh);
}

function takeSample(metrics) {
  const totals = {
    messages: DIRECTIONS.map(direction => metrics.total("wsi_messages_total", { direction })),
    bytes: DIRECTIONS.map(direction => metrics.total("wsi_received_bytes_total", { direction })),
    verdicts: [metrics.total("wsi_verdicts_total")],
  };
  const at = performance.now(), last = lastTotals;
  lastTotals = { at, ...totals };
  if (!last) return;
  const sample = { at, connections: [metrics.total("wsi_connections_open")] };
  for (const [name, values] of Object.entries(totals)) {
    // A total that has fallen is that of another process.
    sample[name] = values.map((value, i) => Math.max(0, value - last[name][i]) / ((at - last.at) / 1000));
  }
  samples.push(sample);
  while (samples[0].at < sample.at - WINDOW_MS - 5000) samples.shift();
}

// The top of the page.

function show() {
  const { status, metrics } = now;
  $("trouble").hidden = true;
  set($("version"), { text: status.version });
  set($("state"), { text: status.state, class: `pill ${status.state === "ready" ? "good" : "warn"}` });
  set($("revision"), { text: `revision ${status.revision}` });
  document.title = `${count(metrics.total("wsi_connections_open"))} open · websocket-inspector`;
  showAccess(status);
  showNotes(metrics);
  if (samples.length > 0) TILES.forEach(showTile);
  showRules(metrics);
  showClients();
  showPolicies(status, metrics);
  showConnections();
}

function showTrouble(error) {
  const since = failingSince.toLocaleTimeString([], { hour12: false });
  const text = error instanceof Refused
    ? `The inspector could not answer: ${error.message}`
    : `The inspector can't be reached since ${since}. What you see is from before; asking again.`;
  set($("trouble"), { text });
  $("trouble").hidden = false;
  if (!(error instanceof Refused)) set($("state"), { text: "unreachable", class: "pill bad" });
}

function showNotes(metrics) {
  const notes = [
    [metrics.total("wsi_passed_uninspected_total"), "message passed uninspected", "messages passed uninspected"],
    [metrics.total("wsi_audit_lost_total"), "audit record was lost", "audit records were lost"],
    [metrics.total("wsi_connections_refused_total"), "connection was refused: there were too many", "connections were refused: there were too many"],
    [metrics.total("wsi_upstream_connects_total", { outcome: "failed" }), "connection to a server failed", "connections to servers failed"],
    [metrics.total("wsi_config_revision") && metrics.total("wsi_reload_failures_total"), "reload was refused", "reloads were refused"],
    [metrics.total("wsi_panics_total"), "connection ended because of a bug: please report it", "connections ended because of a bug: please report it"],
  ].filter(([number]) => number > 0);
  set($("notes"), { text: "Since the start: " + notes.map(each => plural(...each)).join(" · ") });
  $("notes").hidden = notes.length === 0;
}

// Two directions mirror each other: to the server goes up, to the client goes down.
const TILES = [
  { name: "connections", title: "Connections", format: count, series: [["plain", "open now"]] },
  { name: "messages", title: "Messages a second", format: rate, series: DIRECTIONS.map(each => [each, ARROWS[each]]) },
  { name: "bytes", title: "Bytes a second", format: size, series: DIRECTIONS.map(each => [each, ARROWS[each]]) },
  { name: "verdicts", title: "Verdicts a second", format: rate, series: [["bad", "stopped or told of"]] },
];

for (const tile of TILES) {
  tile.values = tile.series.map(() => el("b", { text: "–" }));
  tile.peak = el("span", { class: "peak" });
  tile.svg = svg("svg", { viewBox: "0 0 300 80", preserveAspectRatio: "none", role: "img" });
  tile.svg.addEventListener("pointermove", event => pointAt(tile, event));
  tile.svg.addEventListener("pointerleave", () => pointAt(tile, null));
  const figures = tile.series.map(([tone, label], i) =>
    el("div", { class: `figure ${tone}` }, tile.values[i], ...(tile.series.length > 1 ? [el("i")] : []), el("span", { text: label })));
  $("tiles").append(el("section", { class: "card tile" },
    el("h2", { text: tile.title }), tile.peak, el("div", { class: "figures", "data-tile": tile.name }, ...figures), tile.svg));
}

/** Tells of the moment under the pointer in the place of the peak. */
function pointAt(tile, event) {
  const box = tile.svg.getBoundingClientRect();
  tile.ago = event && (1 - (event.clientX - box.left) / box.width) * WINDOW_MS;
  if (samples.length > 0) showTile(tile);
}

function showTile({ name, title, format, series, values, peak, ago, svg: picture }) {
  const latest = samples.at(-1)[name];
  const most = Math.max(...samples.flatMap(each => each[name]));
  latest.forEach((value, i) => set(values[i], { text: format(value) }));
  const moment = ago == null ? null : samples.findLast(each => each.at <= samples.at(-1).at - ago);
  const then = moment && `${Math.round(ago / 1000)} s ago: ${moment[name].map(format).join(" / ")}`;
  set(peak, { text: then ?? (most > 0 ? `peak ${format(most)}` : "") });
  const told = series.map(([, label], i) => `${label} ${format(latest[i])}`).join(", ");
  set(picture, { "aria-label": `${title} over two minutes: now ${told}, peak ${format(most)}` });
  const base = series.length > 1 ? 40 : 78, height = series.length > 1 ? 37 : 74, scale = Math.max(most, 1e-9);
  const until = samples.at(-1).at;
  const parts = [svg("line", { class: "axis", x1: 0, x2: 300, y1: base, y2: base })];
  if (moment) {
    const x = 300 - (ago / WINDOW_MS) * 300;
    parts.push(svg("line", { class: "axis", x1: x, x2: x, y1: 0, y2: 80 }));
  }
  series.forEach(([tone], i) => {
    const sign = i ? 1 : -1;
    const points = samples.map(each => {
      const x = 300 - ((until - each.at) / WINDOW_MS) * 300;
      return `${x.toFixed(1)} ${(base + (sign * height * each[name][i]) / scale).toFixed(1)}`;
    });
    const first = points[0].split(" ")[0];
    parts.push(svg("path", { class: `area ${tone}`, d: `M${first} ${base}L${points.join("L")}L300 ${base}Z` }));
    parts.push(svg("path", { class: `curve ${tone}`, d: `M${points.join("L")}` }));
  });
  picture.replaceChildren(...parts);
}

// Bars, and policies.

/** Keeps the nodes of `parent` in step with `items`, so that focus stays where it is. */
function reconcile(parent, items, key, make, update) {
  const old = new Map([...parent.children].map(node => [node.dataset.key, node]));
  items.forEach((item, i) => {
    const name = String(key(item));
    let node = old.get(name);
    old.delete(name);
    if (!node) {
      node = make(item);
      node.dataset.key = name;
    }
    update(node, item);
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] ?? null);
  });
  old.forEach(node => node.remove());
}

function showBars(list, items, { tone, pick, nothing }) {
  const total = sum(items.map(each => each.value));
  const most = Math.max(...items.map(each => each.value), 1);
  const shown = items.sort((a, b) => b.value - a.value).slice(0, BARS_MAX);
  if (shown.length === 0) return list.replaceChildren(el("li", { class: "muted hint", text: nothing }));
  if (!list.firstChild?.dataset.key) list.replaceChildren();
  const make = item => el("li", {}, el("button", { on: { click: () => pick(item.name) } },
    el("span", { class: "name" }), el("span", { class: "count" }), el("span", { class: "portion" })));
  reconcile(list, shown, item => item.name, make, (node, { name, value, title }) => {
    const button = node.firstChild;
    button.style.setProperty("--share", `${(value / most) * 100}%`);
    set(button, { class: tone, title });
    set(button.children[0], { text: name });
    set(button.children[1], { text: count(value) });
    set(button.children[2], { text: total ? `${Math.round((value / total) * 100)} %` : "" });
  });
}

function showRules(metrics) {
  const rules = new Map();
  for (const { labels, value } of metrics.find("wsi_verdicts_total")) {
    if (value > 0) rules.set(labels.rule, (rules.get(labels.rule) ?? 0) + value);
  }
  const items = [...rules].map(([name, value]) => ({ name, value, title: `${name}: look for its events` }));
  showBars($("rules"), items, { tone: "bad", nothing: "No verdict so far.", pick: searchEvents });
}

const addressOf = client => (/^\[?(.*?)\]?:\d+$/.exec(client.includes(".") || client.startsWith("[") ? client : "") ?? [0, client])[1];

function showClients() {
  const clients = new Map();
  for (const each of now.connections) {
    const name = addressOf(each.client), known = clients.get(name) ?? { name, value: 0, open: 0 };
    clients.set(name, { name, value: known.value + each.messages, open: known.open + 1 });
  }
  const items = [...clients.values()].map(each => ({ ...each, title: `${plural(each.open, "connection")} of ${each.name}: show them` }));
  const pick = name => filterConnections(name);
  showBars($("clients"), items, { tone: "to_server", nothing: "Nobody is connected.", pick });
}

function showPolicies(status, metrics) {
  const hint = status.policies.length === 0 ? "There is no policy." : status.authorized ? "A switch holds until the next reload." : readOnlyReason(status);
  set($("policies-hint"), { text: hint });
  const make = ({ name }) => {
    const buttons = ["enforce", "detect"].map(mode => el("button", { text: mode, "data-mode": mode }));
    const group = el("span", { class: "switch", role: "group", "aria-label": `Mode of ${name}` }, ...buttons);
    buttons.forEach(button => arm(button, () => change("/api/mode?" + query({ policy: name, mode: button.dataset.mode }), () => `${name}: ${button.dataset.mode}`)));
    return el("li", {}, el("span", { class: "name", text: name }), group, el("span", { class: "facts muted" }));
  };
  reconcile($("policies"), status.policies, each => each.name, make, (node, { name, mode }) => {
    for (const button of node.children[1].children) {
      const isOn = button.dataset.mode === mode;
      set(button, { "aria-pressed": String(isOn), title: status.authorized ? null : readOnlyReason(status), class: isOn ? (mode === "enforce" ? "good" : "warn") : button.className });
      button.disabled = !status.authorized || isOn;
    }
    const about = { policy: name };
    const facts = [
      plural(metrics.total("wsi_upgrades_total", { ...about, outcome: "accepted" }), "connection"),
      plural(metrics.total("wsi_messages_total", about), "message"),
      plural(metrics.total("wsi_verdicts_total", about), "verdict"),
    ];
    set(node.children[2], { text: facts.join(" · ") });
  });
}

// Changing things.

const readOnlyReason = status => (status.can_change ? "Read only: the token unlocks it, above." : "Read only: the configuration has no admin { token-path }.");

/** A change needs two clicks, because some can't be taken back. */
function arm(button, act) {
  const calm = button.textContent;
  let timer = 0;
  const disarm = () => {
    clearTimeout(timer);
    button.classList.remove("armed");
    button.textContent = calm;
  };
  button.addEventListener("click", event => {
    event.stopPropagation();
    if (!button.classList.contains("armed")) {
      button.classList.add("armed");
      button.textContent = "Sure?";
      timer = setTimeout(disarm, ARMED_MS);
      return;
    }
    disarm();
    act();
  });
}

async function change(path, done) {
  try {
    say(done(await ask(path, { method: "POST" })));
  } catch (error) {
    say(error instanceof Refused ? error.message : "The inspector can't be reached; nothing is known to have changed.");
  }
  poll();
}

let saidTimer = 0;
function say(text) {
  ($("timeline").open ? $("timeline") : document.body).append($("said"));
  set($("said"), { text });
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => set($("said"), { text: "" }), SAID_MS);
}

function showAccess({ can_change, authorized }) {
  const wrong = can_change && token && !authorized;
  set($("access"), { text: !can_change ? "Read only: no token-path in the configuration" : authorized ? "Unlocked" : wrong ? "That is not the token" : "Read only" });
  $("token").hidden = $("unlock-button").hidden = !can_change || authorized;
  $("lock-button").hidden = !authorized;
}
$("unlock").addEventListener("submit", event => {
  event.preventDefault();
  keepToken($("token").value.trim());
});
$("lock-button").addEventListener("click", () => keepToken(""));
function keepToken(text) {
  // What can't be in a header is no token either.
  token = /^[\x21-\x7e]*$/.test(text) ? text : "";
  sessionStorage.setItem("token", token);
  $("token").value = "";
  poll();
}

// Connections.

const COLUMNS = [
  { name: "id", title: "Id", isText: true, show: each => each.id },
  { name: "client", title: "Client", isText: true, show: each => each.client },
  { name: "listener", title: "Listener", isText: true, show: each => each.listener },
  { name: "policy", title: "Policy", isText: true, show: each => each.policy ?? "–" },
  { name: "phase", title: "Phase", isText: true, show: each => each.phase },
  { name: "age_s", title: "Age", show: each => duration(each.age_s) },
  { name: "idle_s", title: "Idle", show: each => duration(each.idle_s) },
  { name: "rate", title: "Msg/s", show: each => rate(each.rate) },
  { name: "messages_to_server", title: "Msg to server", show: each => count(each.messages_to_server) },
  { name: "messages_to_client", title: "Msg to client", show: each => count(each.messages_to_client) },
  { name: "bytes_to_server", title: "Bytes to server", show: each => size(each.bytes_to_server) },
  { name: "bytes_to_client", title: "Bytes to client", show: each => size(each.bytes_to_client) },
];
const sorting = { name: "rate", falls: true };

for (const { name, title, isText } of COLUMNS) {
  const sort = () => {
    Object.assign(sorting, sorting.name === name ? { falls: !sorting.falls } : { name, falls: !isText });
    showConnections();
  };
  $("connections").tHead.rows[0].append(el("th", { scope: "col", class: isText && "text", "data-name": name }, el("button", { text: title, on: { click: sort } })));
}
$("connections").tHead.rows[0].append(el("th", { scope: "col", "aria-label": "Close" }));
$("connections-filter").addEventListener("input", () => showConnections());

function filterConnections(text) {
  $("connections-filter").value = text;
  showConnections();
}

const collator = new Intl.Collator(undefined, { numeric: true });
function compare(a, b) {
  const [left, right] = [a[sorting.name], b[sorting.name]];
  const order = typeof left === "number" ? left - right : collator.compare(left ?? "", right ?? "");
  return (sorting.falls ? -order : order) || collator.compare(a.id, b.id);
}

/** While somebody points at a row, none moves away under the pointer; what is new comes last. */
function inPlace() {
  const body = $("connections").tBodies[0];
  if (!body.matches(":hover, :has(:focus-visible)")) return null;
  const places = new Map([...body.rows].map((row, i) => [row.dataset.key, i]));
  return (a, b) => (places.get(a.id) ?? places.size) - (places.get(b.id) ?? places.size) || compare(a, b);
}

function showConnections() {
  const wanted = $("connections-filter").value.trim().toLowerCase();
  const matches = now.connections.filter(each => [each.id, each.client, each.policy, each.listener, each.phase].some(text => text?.toLowerCase().includes(wanted)));
  const shown = matches.sort(inPlace() ?? compare).slice(0, CONNECTION_ROWS_MAX);
  for (const head of $("connections").tHead.rows[0].cells) {
    set(head, { "aria-sort": head.dataset.name === sorting.name ? (sorting.falls ? "descending" : "ascending") : null });
  }
  reconcile($("connections").tBodies[0], shown, each => each.id, makeConnection, updateConnection);
  const beyond = now.found > now.connections.length ? `, the busiest ${now.connections.length} can be looked through` : "";
  set($("connections-count"), { text: now.status ? `${count(now.found)} now${beyond}` : "" });
  const more = matches.length - shown.length;
  set($("connections-empty"), { text: more > 0 ? `${plural(more, "more")}: filter to see them.` : matches.length ? "" : wanted ? "None of them matches." : "Nobody is connected." });
}

function makeConnection({ id }) {
  const open = () => openTimeline(id);
  const cells = COLUMNS.map(({ isText }) => el("td", { class: isText && "text" }));
  cells[0].append(el("button", { class: "link", text: id, title: "Its timeline" }));
  return el("tr", { on: { click: open } }, ...cells, el("td", {}, closeButton(id)));
}

function updateConnection(row, connection) {
  COLUMNS.slice(1).forEach(({ show: text }, i) => set(row.cells[i + 1], { text: text(connection) }));
  row.lastChild.firstChild.hidden = !now.status?.authorized;
}

function closeButton(id) {
  const button = el("button", { text: "Close", "aria-label": `Close ${id}` });
  arm(button, () => change("/api/connections/close?" + query({ id }), ({ closed }) => (closed ? `${id} is closed.` : `${id} was gone already.`)));
  return button;
}

// Events.

const stream = { isPaused: false, waiting: 0, kinds: "", wanted: "" };

function toneOf(record) {
  if (record.event !== "verdict") return { ws_open: "good", ws_message: record.direction, ws_handshake: record.status === 101 ? "plain" : "warn" }[record.event] ?? "plain";
  if (record.action === "pass-uninspected") return "odd";
  return record.mode === "detect" || record.action === "alert" ? "warn" : "bad";
}

function nameOf(record) {
  if (record.event !== "verdict") return record.event.replace(/^ws_/, "");
  const told = record.code ?? record.status;
  return `${record.mode === "detect" ? "would " : ""}${record.action}${told ? ` ${told}` : ""}`;
}

function textOf(record) {
  const way = ARROWS[record.direction] ?? "";
  switch (record.event) {
    case "verdict": return [el("span", { class: "rule", text: record.rule }), [record.reason, way].filter(Boolean).join(", ")];
    case "ws_handshake": return [`${record.status} ${record.host}${record.path}${record.origin ? ` from ${record.origin}` : ""}`];
    case "ws_open": return [record.subprotocol ? `subprotocol ${record.subprotocol}` : ""];
    case "ws_close": return [`${record.code ?? "no code"} by ${record.initiator}, after ${plural(record.messages_to_server, "message")} to the server and ${count(record.messages_to_client)} to the client`];
    case "ws_message": return [`${record.opcode}, ${size(record.size)} ${way}${record.fragments > 1 ? `, ${record.fragments} fragments` : ""}`];
    default: return [`${size(record.size ?? 0)} ${way}`];
  }
}

function eventRow(record, withLink = true) {
  const time = new Date(record.time), when = time.toLocaleTimeString([], { hour12: false }) + "." + String(time.getMilliseconds()).padStart(3, "0");
  const row = el("details", { class: `${toneOf(record)}${record.event === "verdict" ? " verdict" : ""}` },
    el("summary", {}, el("span", { class: "when", text: when, title: record.time }), el("span", { class: "what", text: nameOf(record) }),
      el("span", { class: "where", text: record.connection }), el("span", { class: "where client", text: record.client }), el("span", { class: "text" }, ...textOf(record))));
  row.addEventListener("toggle", () => {
    if (!row.open || row.children.length > 1) return;
    const link = el("button", { class: "link", text: `Timeline of ${record.connection}`, on: { click: () => openTimeline(record.connection) } });
    row.append(el("div", { class: "inside" }, el("pre", { text: JSON.stringify(record, null, 2) }), ...(withLink ? [link] : [])));
  });
  return row;
}

const isWanted = ({ record, raw }) => (!stream.kinds || stream.kinds.split(" ").includes(record.event)) && stream.wanted.split(/\s+/).every(word => raw.includes(word));

function addToStream(fresh) {
  const wanted = fresh.filter(isWanted);
  if (stream.isPaused) stream.waiting += wanted.length;
  else {
    $("events").prepend(...wanted.slice(-EVENT_ROWS_MAX).reverse().map(each => eventRow(each.record)));
    while ($("events").children.length > EVENT_ROWS_MAX) $("events").lastChild.remove();
  }
  showStreamState();
}

function restartStream() {
  $("events").replaceChildren();
  stream.waiting = 0;
  addToStream(now.events);
}

function showStreamState() {
  const kept = now.events.length, waits = stream.isPaused ? `, paused, ${count(stream.waiting)} new` : "";
  set($("events-count"), { text: `${count(now.next)} since the start, the last ${count(kept)} can be searched${waits}` });
  const isNarrow = stream.kinds || stream.wanted;
  set($("events-empty"), { text: $("events").firstChild ? "" : isNarrow ? "None of them matches." : "Nothing has happened so far. Which events are told is up to a policy's events." });
}

function readStreamFilter() {
  Object.assign(stream, { kinds: $("events-kind").value, wanted: $("events-search").value.trim().toLowerCase() });
  setPaused(false);
}
function setPaused(isPaused) {
  stream.isPaused = isPaused;
  set($("events-pause"), { "aria-pressed": String(isPaused), text: isPaused ? "Go on" : "Pause" });
  if (isPaused) showStreamState();
  else restartStream();
}
function searchEvents(text) {
  $("events-search").value = text;
  readStreamFilter();
  $("events-search").scrollIntoView({ block: "nearest" });
}
$("events-kind").addEventListener("change", readStreamFilter);
$("events-search").addEventListener("input", readStreamFilter);
$("events-pause").addEventListener("click", () => setPaused(!stream.isPaused));

// The timeline of one connection.

let timelineId = null, timelineSeen = "";

function openTimeline(id) {
  timelineId = id;
  timelineSeen = "";
  set($("timeline-title"), { text: `Connection ${id}` });
  for (const part of ["timeline-facts", "timeline-picture", "timeline-events"]) $(part).replaceChildren();
  set($("timeline-empty"), { text: "" });
  $("timeline-actions").replaceChildren(closeButton(id));
  $("timeline-actions").firstChild.hidden = true;
  if (!$("timeline").open) $("timeline").showModal();
  updateTimeline().catch(showTrouble);
}
$("timeline").addEventListener("close", () => (timelineId = null));
$("timeline-done").addEventListener("click", () => $("timeline").close());
$("timeline").addEventListener("click", event => event.target === $("timeline") && event.clientX < $("timeline").offsetLeft && $("timeline").close());

async function updateTimeline() {
  const id = timelineId;
  const { events } = await ask("/api/events?" + query({ text: `"connection":"${id}"`, limit: EVENTS_MAX }));
  if (id !== timelineId) return;
  const records = events.filter(each => each?.connection === id);
  const open = now.connections.find(each => each.id === id);
  $("timeline-actions").firstChild.hidden = !(open && now.status?.authorized);
  showFacts(open, records);
  const seen = `${records.length} ${records.at(-1)?.time}`;
  if (seen === timelineSeen) return;
  timelineSeen = seen;
  drawTimeline(records);
  const kept = new Map([...$("timeline-events").children].map(row => [row.dataset.key, row.open]));
  const rows = records.slice(-EVENT_ROWS_MAX).reverse().map(record => {
    const row = eventRow(record, false);
    row.dataset.key = `${record.time} ${nameOf(record)} ${record.direction}`;
    row.open = kept.get(row.dataset.key) ?? false;
    return row;
  });
  $("timeline-events").replaceChildren(...rows);
  set($("timeline-empty"), { text: rows.length ? "" : "No event of it is kept: they are too long ago, or its policy tells of none." });
}

function showFacts(open, records) {
  const handshake = records.find(each => each.event === "ws_handshake"), last = records.at(-1);
  const facts = { Client: open?.client ?? last?.client, Policy: open?.policy ?? last?.policy, Path: handshake?.path, Host: handshake?.host };
  if (open) {
    Object.assign(facts, {
      Age: duration(open.age_s), "Messages to server": count(open.messages_to_server), "Messages to client": count(open.messages_to_client),
      "Bytes each way": `${size(open.bytes_to_server)}, ${size(open.bytes_to_client)}`,
    });
  } else facts.Phase = "ended";
  const known = Object.entries(facts).filter(([, text]) => text);
  reconcile($("timeline-facts"), known, ([name]) => name, ([name]) => el("div", {}, el("dt", { text: name }), el("dd")), (node, [, text]) => set(node.lastChild, { text }));
}

/** Messages as needles by size (doubling is a step), verdicts as squares on their edge, the beginning and end as long lines. */
function drawTimeline(records) {
  const picture = $("timeline-picture"), axis = 62, ways = { to_server: -1, to_client: 1 };
  picture.toggleAttribute("hidden", records.length === 0);
  if (records.length === 0) return;
  const times = records.map(each => Date.parse(each.time)), from = Math.min(...times), span = Math.max(Math.max(...times) - from, 1);
  const parts = Object.entries(ways).map(([direction, way]) => svg("text", { x: 0, y: axis + 4 + way * 26 }, ARROWS[direction]));
  parts.push(svg("line", { class: "axis", x1: 64, x2: 640, y1: axis, y2: axis }));
  records.forEach((record, i) => {
    const x = 76 + ((times[i] - from) / span) * 552, tone = toneOf(record), way = ways[record.direction] ?? 0;
    let mark;
    if (record.event === "verdict") mark = svg("path", { class: `mark ${tone}`, d: `M${x} ${axis + way * 26 - 8}l8 8l-8 8l-8-8Z` });
    else if (way) mark = svg("line", { class: `edge ${tone} ${record.event}`, x1: x, x2: x, y1: axis + way, y2: axis + way * Math.min(4 + 3 * Math.log2(1 + record.size), 52) });
    else mark = svg("line", { class: `edge ${tone}`, x1: x, x2: x, y1: axis - 54, y2: axis + 54 });
    mark.append(svg("title", {}, `${nameOf(record)} at ${record.time}`));
    parts.push(mark);
  });
  parts.push(svg("text", { x: 64, y: 136 }, new Date(from).toLocaleTimeString([], { hour12: false })));
  parts.push(svg("text", { x: 640, y: 136, "text-anchor": "end" }, `+ ${span < 10000 ? `${(span / 1000).toFixed(1)} s` : duration(Math.round(span / 1000))}`));
  set(picture, { "aria-label": `${records.length} events over ${duration(Math.round(span / 1000))}` });
  picture.replaceChildren(...parts);
}

document.addEventListener("visibilitychange", () => document.hidden || poll());
showStreamState();
poll();
