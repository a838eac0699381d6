"use strict";
(async () => {
const $ = (q, at = document) => at.querySelector(q), $$ = (q, at = document) => [...at.querySelectorAll(q)];
const holder = $("#data");
if (!holder || !window.DecompressionStream) return;
const inflate = async node => {
  const whole = node.textContent.trim(), text = whole.slice(1), bytes = new Uint8Array(text.length / 5 * 4), digits = new Uint8Array(128);
  [..."0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~"].forEach((c, k) => digits[c.charCodeAt(0)] = k);
  for (let k = 0, at = 0; k < text.length; k += 5) {
    let word = 0;
    for (let i = 0; i < 5; i++) word = word * 85 + digits[text.charCodeAt(k + i)];
    bytes[at++] = word >>> 24; bytes[at++] = word >>> 16; bytes[at++] = word >>> 8; bytes[at++] = word;
  }
  return new Response(new Blob([bytes.subarray(0, bytes.length - whole[0])]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const D = JSON.parse(await inflate(holder)), opening = JSON.parse($("#state").textContent);
const V = D.vocabulary, esc = s => String(s).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
const name = s => D.series[s][0], num = v => String(Math.round(v * 10) / 10);
document.documentElement.classList.add("js");

// Dots are packed by column.
const whole = d => d.whole = d.whole || [...d.slice(0, 6), d[6].length ? d[6][0].map((_, k) => d[6].map(c => c[k])) : [], d[7]];

// Drawing: the markup that attnprof.render.backends.svg makes of the same list.
const shapes = {
  circle: (x, y, r) => `M${num(x - r)} ${num(y)}a${num(r)} ${num(r)} 0 1 0 ${num(2 * r)} 0a${num(r)} ${num(r)} 0 1 0 -${num(2 * r)} 0Z`,
  square: (x, y, r) => `M${num(x - r)} ${num(y - r)}h${num(2 * r)}v${num(2 * r)}h-${num(2 * r)}Z`,
  diamond: (x, y, r, f = r * 1.35) => `M${num(x)} ${num(y - f)}L${num(x + f)} ${num(y)}L${num(x)} ${num(y + f)}L${num(x - f)} ${num(y)}Z`,
  up: (x, y, r, f = r * 1.35) => `M${num(x)} ${num(y - f)}L${num(x + f)} ${num(y + r)}L${num(x - f)} ${num(y + r)}Z`,
  down: (x, y, r, f = r * 1.35) => `M${num(x)} ${num(y + f)}L${num(x + f)} ${num(y - r)}L${num(x - f)} ${num(y - r)}Z`,
  cross: (x, y, r) => `M${num(x - r)} ${num(y - r)}L${num(x + r)} ${num(y + r)}M${num(x + r)} ${num(y - r)}L${num(x - r)} ${num(y + r)}`,
  plus: (x, y, r) => `M${num(x)} ${num(y - r)}V${num(y + r)}M${num(x - r)} ${num(y)}H${num(x + r)}`,
};
const own = s => s < 0 ? "" : ` s${s}" data-s="${s}`;
const pairs = list => { const out = []; for (let k = 0; k < list.length; k += 2) out.push([list[k], list[k + 1]]); return out; };
function draw(d, kind = "", tips = {}, links = false) {
  const [w, h, title, , , strokes, dots, texts] = d;
  let out = `<svg class="fig ${kind}" viewBox="0 0 ${num(w)} ${num(h)}" width="${num(w)}" height="${num(h)}" role="${links ? "group" : "img"}" aria-label="${esc(title)}">`;
  for (const [role, s, ...at] of strokes) {
    const word = V.roles[role], tag = word === "band" || word === "shade" ? "polygon" : "polyline";
    out += `<${tag} class="${word}${own(s)}" points="${pairs(at).map(p => p.map(num).join(",")).join(" ")}"/>`;
  }
  let open = "", path = "";
  const shut = (s, tip) => {
    if (open) { const made = `<path class="dot ${open}" d="${path}">${tip ? `<title>${esc(tip)}</title>` : ""}</path>`; out += links ? `<a href="#scheme-${esc(D.series[s][4])}" tabindex="-1">${made}</a>` : made; }
    open = path = "";
  };
  let last = -1;
  for (const [x, y, r, state, s, marker] of dots) {
    const word = V.states[state], shape = word === "memory" ? "cross" : V.markers[marker], look = `${word} ${shape}${own(s)}`;
    if (look !== open || links) shut(last, tips[last]);
    open = look; path += shapes[shape](x, y, r); last = s;
  }
  shut(last, tips[last]);
  for (const [x, y, text, role, anchor, size, s] of texts) {
    const at = anchor ? ` text-anchor="${V.anchors[anchor]}"` : "";
    out += `<text class="${V.letters[role]}${own(s)}" x="${num(x)}" y="${num(y + size * .35)}" font-size="${num(size)}"${at}>${esc(text === 0 ? name(s) : text)}</text>`;
  }
  return out + "</svg>";
}

// State: what the address says, else what the page opened with.
const words = { keys: "keys a query", layers: "layers to full" };
let S = {}, view, sorted = { k: "bar", down: false };
const same = (v, pass, causal, base) => v.pass === pass && v.causal === causal && v.base === base;
function read() {
  const h = new URLSearchParams(location.hash.slice(1)), first = D.views[opening.view];
  const causal = h.has("causal") ? +h.get("causal") : first.causal, pass = h.get("pass") || first.pass, base = h.has("base") ? +h.get("base") : first.base;
  view = D.views.find(v => same(v, pass, causal, base)) || D.views.find(v => v.pass === pass && v.base === base) || first;
  const length = Object.keys(D.names).find(n => D.names[n] === h.get("n"));
  const metrics = view.metrics.map(m => m[0]);
  S = {
    n: view.lengths.includes(+length) ? +length : view.lengths.includes(opening.n) && view === first ? opening.n : view.usual,
    metric: metrics.includes(h.get("metric")) ? h.get("metric") : metrics[0],
    y: h.get("y") === "layers" ? "layers" : "keys",
    reach: ["1", "2", "4", "16", "ever"].includes(h.get("reach")) ? h.get("reach") : String(opening.reach),
    curve: Object.hasOwn(view.curves, h.get("curve") || "") ? h.get("curve") : Object.keys(view.curves)[0],
    pins: h.get("s") ? h.get("s").split(",").map(l => D.series.findIndex(s => s[0] === l)).filter(s => s >= 0) : null,
    least: D.least.includes(+h.get("least") / 100) ? +h.get("least") / 100 : 0,
    card: h.get("card"), fig: h.get("fig"),
  };
  if (h.get("sort")) sorted = { k: h.get("sort"), down: h.get("desc") === "1" };
}
function write(push = true) {
  const h = new URLSearchParams();
  h.set("n", D.names[S.n]); h.set("pass", view.pass); h.set("causal", view.causal);
  if (D.bases.length > 1) h.set("base", view.base);
  h.set("metric", S.metric); h.set("y", S.y); h.set("reach", S.reach); h.set("least", 100 * S.least); h.set("curve", S.curve);
  if (S.pins) h.set("s", S.pins.map(name).join(","));
  if (sorted.k !== "bar" || sorted.down) { h.set("sort", sorted.k); h.set("desc", +sorted.down); }
  if (S.card) h.set("card", S.card);
  const text = "#" + h.toString().replace(/%2C/g, ",");
  if (text !== location.hash) history[push ? "pushState" : "replaceState"](null, "", text);
  return text;
}
const chosen = () => D.said[(((view.choice[S.n] || {})[S.metric] || {})[S.reach] || [])[D.least.indexOf(S.least)]] || ["", "", []];
const unseen = () => S.least ? (view.rows[S.n] || []).filter(r => r[7] === null || r[7] < Math.min(S.least, .99)).map(r => r[0]) : [];
const pins = () => S.pins || chosen()[2];
const rows = () => (view.cost[S.metric] || { at: {} }).at[S.n] || [];
const allTips = () => { const rest = Object.fromEntries((view.rows[S.n] || []).map(r => [r[0], r[6]])); return Object.fromEntries(rows().map(r => [r[0], [r[3], rest[r[0]]].filter(Boolean).join("\n")])); };
const causality = v => v.causal < 0 ? "causality unknown" : v.causal ? "causal" : "bidirectional";

function controls() {
  const box = $("#controls"), held = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.set + "/" + document.activeElement.dataset.to : "";
  const seg = (key, title, options) => options.length < 2 && key !== "n" ? "" : `<span id="l-${key}">${title}</span><div class="seg" role="group" aria-labelledby="l-${key}">` +
    options.map(([to, text, on, off]) => `<button type="button" data-set="${key}" data-to="${esc(to)}" aria-pressed="${!!on}"${off ? " disabled" : ""}>${esc(text)}</button>`).join("") + "</div>";
  const here = D.views.filter(v => v.base === view.base), passes = [...new Set(here.map(v => v.pass))], masks = [...new Set(here.filter(v => v.pass === view.pass).map(v => v.causal))];
  box.innerHTML =
    (D.bases.length > 1 ? `<span id="l-base">Where</span><select data-set="base" aria-labelledby="l-base">${D.bases.map((b, k) => `<option value="${k}"${k === view.base ? " selected" : ""}>${esc(b)}</option>`).join("")}</select>` : "") +
    seg("n", "Length n", view.lengths.map(n => [n, D.names[n], n === S.n])) +
    seg("pass", "Pass", passes.map(p => [p, p, p === view.pass])) +
    seg("causal", "Mask", masks.map(c => [c, causality({ causal: c }), c === view.causal])) +
    seg("metric", "Cost", view.metrics.map(m => [m[0], m[1], m[0] === S.metric])) +
    seg("reach", "Must reach all", [["1", "in 1 layer"], ["2", "2"], ["4", "4"], ["16", "16"], ["ever", "ever"]].map(([k, t]) => [k, t, k === S.reach])) +
    seg("least", "Must read", D.least.map(k => [k, k ? k < 1 ? `${100 * k}% of keys` : "all" : "any", k === S.least])) +
    seg("y", "Sight", ["keys", "layers"].map(k => [k, words[k], k === S.y]));
  const again = held && $$("[data-set]", box).find(b => b.dataset.set + "/" + b.dataset.to === held);
  if (again) again.focus();
}
function answer() {
  const [lead, beside] = chosen(), box = $("#answer");
  const html = `<p class="lead">${lead || "No point of this pass and mask has a value in this quantity."}</p><p class="beside">${beside}</p>`;
  if (box.innerHTML !== html) box.innerHTML = html;
}
function scatter() {
  const d = ((view.scatter[S.metric] || {})[S.n] || {})[S.y], tips = allTips();
  $$("#choice [data-at]").forEach(box => box.innerHTML = d ? draw(whole(d[+box.dataset.at]), "scatter", tips, true) : "<p class=cap>Nothing has a value here.</p>");
}
function restyle() {
  const p = pins();
  $("#pins").textContent = p.map(s => `.fig .s${s}.label{font-weight:700}.fig .s${s}.line{stroke-width:2.6}.board .s${s}{background:var(--accs);box-shadow:inset 3px 0 var(--acc)}.scatter .dot.s${s}{stroke:var(--acc);stroke-width:2}`).join("") +
    p.slice(-2).map(s => `.pair .fig .s${s}{display:inline}`).join("");
  const less = unseen(), said = $("#least-said");
  $("#least").textContent = less.map(s => `.scatter .s${s}{opacity:.12}.scatter .label.s${s},.scatter .leader.s${s},.board .s${s}{display:none}`).join("") + (less.length && S.y === "layers" ? ".scatter .front{display:none}" : "");
  said.textContent = less.length ? `${less.length} of ${rows().length} are left out: a query of theirs reads less than ${S.least < 1 ? 100 * S.least + "% of" : "all"} the keys that it may, or how many is not known.` : "";
}
let template;
function board() {
  const body = $("#board tbody"), p = pins(), data = view.cost[S.metric], fixed = Object.fromEntries((view.rows[S.n] || []).map(r => [r[0], r]));
  template = template || body.rows[0].cloneNode(true);
  const known = Object.fromEntries([...body.rows].map(r => [r.dataset.s, r]));
  const made = rows().map(([s, cost, bar]) => {
    const row = known[s] || template.cloneNode(true), f = fixed[s] || [s, ["", null], ["", null], ["", null], ["", null], ["", null]];
    if (!known[s]) fresh(row, s);
    const put = (cls, cell) => { const td = $("." + cls, row); if (td && cell) { if (td.innerHTML !== cell[0]) td.innerHTML = cell[0]; td.dataset.v = cell[1] === null ? "" : cell[1]; } };
    put("c-par", f[1]); put("c-peak", f[2]); put("c-state", f[3]); put("c-keys", f[4]); put("c-layers", f[5]);
    put("c-cost", cost); put("c-bar", bar); put("c-cheaper", data.cheaper[s]);
    $(".c-spark", row).innerHTML = data.spark[s] || "";
    $("input", row).checked = p.includes(s);
    return row;
  });
  const value = row => sorted.k === "name" ? name(row.dataset.s) : ($(".c-" + sorted.k, row) || { dataset: {} }).dataset.v;
  const order = made.map((row, k) => [row, value(row), k]).sort((a, b) => {
    const pa = p.includes(+a[0].dataset.s), pb = p.includes(+b[0].dataset.s);
    if (pa !== pb) return pa ? -1 : 1;
    if (sorted.k === "name") return (sorted.down ? -1 : 1) * a[1].localeCompare(b[1]);
    if (!a[1] || !b[1]) return (a[1] ? 0 : 1) - (b[1] ? 0 : 1) || a[2] - b[2];
    return (sorted.down ? -1 : 1) * (a[1] - b[1]) || a[2] - b[2];
  }).map(x => x[0]);
  const focus = document.activeElement;
  if ([...body.rows].some((r, k) => r !== order[k]) || body.rows.length !== order.length) body.replaceChildren(...order);
  if (focus && body.contains(focus)) focus.focus();
  const title = view.metrics.find(m => m[0] === S.metric);
  $$("#board thead th[data-k]").forEach(th => {
    if (th.dataset.k === sorted.k) th.setAttribute("aria-sort", sorted.down ? "descending" : "ascending"); else th.removeAttribute("aria-sort");
    if (title && th.dataset.k === "cost") th.firstElementChild.textContent = title[1];
    if (title && th.dataset.k === "spark") th.textContent = title[1] + " against n";
  });
}
const maskOf = target => { const at = $(`#cards a[href="#scheme-${CSS.escape(target)}"] > :first-child`); return at ? at.outerHTML : ""; };
function fresh(row, s) {
  const [label, family, , impl, target] = D.series[s];
  row.className = "s" + s; row.dataset.s = s;
  const link = $("th a", row), small = $("th small", row);
  link.textContent = link.dataset.l = label; link.href = "#scheme-" + target;
  small.textContent = family + (impl ? " · " + impl : "");
  row.children[1].innerHTML = maskOf(target);
  $("input", row).setAttribute("aria-label", "Pin " + label);
}
function kinds() {
  const select = $("#curve");
  const options = Object.entries(view.curves).map(([k, c]) => `<option value="${k}">${esc(c[0])}</option>`).join("");
  if (select.innerHTML !== options) select.innerHTML = options;
  select.value = S.curve;
}
function curves() {
  const found = view.curves[S.curve];
  kinds();
  $("#curve-title").textContent = found ? found[0] : "";
  $("#panels").innerHTML = found ? found[1].map(d => draw(whole(d))).join("") : "";
  rule();
}
function rule() {
  const found = view.curves[S.curve];
  $$("#panels svg").forEach((svg, k) => { const x = num(place(found[1][k][3], S.n)); $$(".rule", svg).forEach(r => r.setAttribute("points", r.getAttribute("points").replace(/(^| )[^,]+,/g, `$1${x},`))); });
}
const place = ([start, end, low, high, log], v) => start + (end - start) * (log ? (Math.log(v) - Math.log(low)) / (Math.log(high) - Math.log(low)) : (v - low) / (high - low));
const back = ([start, end, low, high, log], at) => { const f = (at - start) / (end - start); return log ? low * (high / low) ** f : low + (high - low) * f; };

// The ratio of the two pinned: [a.low / b.high, a.high / b.low], as attnprof.render.claims.versus has it.
function versus(a, b) {
  if (!a || !b || !a[1] || !b[1]) return null;
  const state = Math.max(a[4], b[4]), loose = ["wall_s", "energy_j"].includes(S.metric) && ["measured", "flagged"].includes(V.states[state]) && (a[2] == null || b[2] == null), guessed = V.states[state] === "predicted", counted = V.states[state] === "counted", r = b[1] / a[1];
  if (loose) return { r, state, loose, side: "even" };
  if (guessed) return { r, state, guessed, side: r >= 1.5 ? "less" : r <= 1 / 1.5 ? "more" : "even" };
  const low = (b[2] ?? b[1]) / (a[3] ?? a[1]), high = (b[3] ?? b[1]) / (a[2] ?? a[1]), edge = counted ? 1.01 : 1;
  return { r, state, low: counted ? null : low, high: counted ? null : high, side: low > edge ? "less" : high < 1 / edge ? "more" : "even" };
}
const bound = v => v < 2 ? v.toFixed(2) : factor(v);
const factor = v => v >= 9.95 ? Math.round(v).toLocaleString("en") : v.toFixed(1);
const valueKey = { wall_s: "t", flops_executed: "f", peak_bytes: "p", saved_bytes: "s", state_bytes: "st", decode_read_bytes: "r", energy_j: "e" };
function pair() {
  const two = pins().slice(-2), values = view.values[valueKey[S.metric]] || {}, tips = allTips();
  const at = s => (values[s] || []).find(v => v[0] === S.n), v = two.length === 2 ? versus(at(two[0]), at(two[1])) : null;
  const coloured = s => `<b class="s${s}" style="color:var(--c)">${esc(name(s))}</b>`, quantity = (view.metrics.find(m => m[0] === S.metric) || ["", ""])[1];
  let said = two.map(coloured).join(" and ");
  if (v) {
    const less = v.side !== "more", band = v.low == null ? "" : ` [${bound(less ? v.low : 1 / v.high)}, ${bound(less ? v.high : 1 / v.low)}]`;
    said += v.side === "even" ? `: not told apart in ${esc(quantity)} at n = ${D.names[S.n]}${band}` : `: ${coloured(two[0])} needs ${v.guessed ? "≈ " : ""}${factor(less ? v.r : 1 / v.r)}×${band} ${v.side} ${esc(quantity)} than ${coloured(two[1])} at n = ${D.names[S.n]}`;
    said += ` (${esc(D.doubts[v.state])}${v.loose ? ", too few processes for an interval" : ""}).`;
  } else if (two.length === 2) said += `: one of them has no ${esc(quantity)} at n = ${D.names[S.n]}.`;
  $("#pair-said").innerHTML = said;
  $$("#pair figure").forEach((f, k) => { const d = view.pair[k]; f.hidden = !d; if (d) { $("h3", f).textContent = d[2]; $(".d", f).innerHTML = draw(whole(d)); } });
  $("#pair-two").innerHTML = two.map(s => {
    const target = D.series[s][4], ops = (view.ops[S.n] || {})[s] || [];
    return `<div class="s${s}"><h3><a class="s" data-l="${esc(name(s))}" href="#scheme-${esc(target)}">${esc(name(s))}</a></h3>${maskOf(target)}<p class="cap">${(tips[s] || "no point here").split("\n").slice(1).map(esc).join("<br>")}</p>` +
      (ops.length ? `<table class="ops"><caption class="sr">operators of ${esc(name(s))}</caption><tbody>${ops.map(o => `<tr><td>${esc(o[0])}</td><td class="n">${o[1]} calls</td><td class="n">${esc(o[2])}</td></tr>`).join("")}</tbody></table>` : "") + "</div>";
  }).join("");
}
function heads() {
  $$(".setting").forEach(e => e.textContent = `n = ${D.names[S.n]}, ${view.pass}, ${causality(view)}`);
  $$(".setting-only").forEach(e => e.textContent = `${view.pass}, ${causality(view)}`);
  $("#peak").textContent = view.peak;
  const decode = view.pass === "decode";
  $("#board").classList.toggle("decode", decode);
  $("#area").textContent = decode ? "state" : "peak memory";
  const base = $("#base"); if (base) base.textContent = D.bases[view.base];
}
function card(focus) {
  $$(".card.open").forEach(c => c.classList.remove("open"));
  const found = S.card && document.getElementById("scheme-" + S.card);
  if (found) { found.classList.add("open"); if (focus) found.focus(); }
}
function all() { controls(); answer(); scatter(); restyle(); board(); curves(); pair(); heads(); card(); }
// The first paint holds all of the state that a page opens with, but what only a script can say.
const opened = () => view === D.views[opening.view] && S.n === opening.n && S.metric === opening.metric && S.reach === String(opening.reach) && !S.pins && !S.least && S.y === "keys" && S.curve === Object.keys(view.curves)[0] && sorted.k === "bar" && !sorted.down && getComputedStyle($("#choice .phone")).display === "none";

// Downloads.
const file = fig => `${fig}-${view.pass}-${causality(view)}-${D.names[S.n]}`;
const lists = fig => (fig === "choice" ? [view.scatter[S.metric][S.n][S.y][0]] : fig === "curves" ? view.curves[S.curve][1] : view.pair).map(whole);
const colour = s => getComputedStyle($(`.s${s}`) || document.body).getPropertyValue("--c").trim() || "#555";
function svgText(fig) {
  const found = lists(fig), across = fig === "choice" ? 1 : Math.min(found.length, 3), w = found[0][0] + 24, h = Math.max(...found.map(d => d[1])) + 24;
  const hot = fig === "difference" ? pins().slice(-2) : null, used = new Set(found.flatMap(d => d[6].map(x => x[4])));
  const keep = d => hot ? [...d.slice(0, 5), d[5].filter(x => x[1] < 0 || hot.includes(x[1])), d[6].filter(x => hot.includes(x[4])), d[7]] : d;
  const css = [...document.styleSheets[0].cssRules].filter(r => r.selectorText && /^(:root|\.fig|\.scatter)/.test(r.selectorText)).map(r => r.cssText).join("") + [...used].map(s => `.s${s}{--c:${colour(s)}}`).join("");
  const caption = `${$("#answer").textContent.replace(/\s+/g, " ").trim()} ${D.bases[view.base]}. Made by attnprof.`;
  const inner = found.map((d, k) => draw(keep(d), fig === "choice" ? "scatter" : "").replace("<svg ", `<svg x="${(k % across) * w + 12}" y="${Math.floor(k / across) * h + 12}" `)).join("");
  const W = w * across, H = h * Math.ceil(found.length / across);
  return [`<svg xmlns="http://www.w3.org/2000/svg" width="${W}" height="${H}" viewBox="0 0 ${W} ${H}"><title>${esc(found[0][2])}</title><desc>${esc(caption)}</desc><style>${esc(css).replace(/&#39;/g, "'").replace(/&#34;/g, '"')}</style><rect width="100%" height="100%" fill="${getComputedStyle(document.body).backgroundColor}"/>${inner}</svg>`, W, H];
}
const line = cells => cells.map(c => /[",\n]/.test(c = c == null ? "" : String(c)) ? `"${c.replace(/"/g, '""')}"` : /^[=+@\t\r-]/.test(c) && isNaN(c) ? "'" + c : c).join(",");
function csv(fig) {
  const head = ["series", "impl", "pass", "mask", "n", "quantity", "value", "low", "high", "state"], out = [line(head)];
  const keys = fig === "choice" || fig === "board" || fig === "difference" ? [valueKey[S.metric]] : view.values[S.curve.replace("-linear", "")] ? [S.curve.replace("-linear", "")] : ["t", "f"]; // a derived curve: what it is made of
  for (const v of fig === "points" ? D.views : [view]) for (const key of fig === "points" ? Object.keys(v.values) : keys) for (const [s, found] of Object.entries(v.values[key] || {})) for (const p of found)
    if (fig !== "choice" && fig !== "board" || p[0] === S.n) out.push(line([name(s), D.series[s][3], v.pass, causality(v), p[0], v.curves[key] ? v.curves[key][0] : key, p[1], p[2], p[3], V.states[p[4]]]));
  return out.join("\n") + "\n";
}
function tikz(fig) {
  const t = s => String(s).replace(/[\\{}$&#%_~^]/g, c => c === "\\" ? "\\textbackslash{}" : "~^".includes(c) ? `\\${c}{}` : "\\" + c).replace(/×/g, "$\\times$").replace(/≈/g, "$\\approx$");
  const hex = s => colour(s).replace("#", "").toUpperCase();
  return lists(fig).map(d => {
    const at = (x, y) => `(${num(x)},${num(d[1] - y)})`, used = [...new Set([...d[5].map(x => x[1]), ...d[6].map(x => x[4]), ...d[7].map(x => x[6])])].filter(s => s >= 0);
    const c = s => s < 0 ? "black!60" : `s${s}`;
    const how = { grid: "black!12", axis: "black!50", base: "black", rule: "black!50,densely dotted", front: "black!50", leader: "black!50,very thin", whisker: "", line: "line width=.8pt", dashed: "densely dashed" };
    return `% ${t(d[2])}\n\\begin{tikzpicture}[x=.6pt,y=.6pt,font=\\sffamily\\scriptsize]\n` + used.map(s => `\\definecolor{s${s}}{HTML}{${hex(s)}}\n`).join("") +
      d[5].map(([r, s, ...p]) => { const w = V.roles[r], path = pairs(p).map(q => at(...q)).join("--"); return w === "shade" ? `\\fill[black!5] ${path}--cycle;` : w === "band" ? `\\fill[${c(s)},opacity=.18] ${path}--cycle;` : `\\draw[${[how[w], s >= 0 && w !== "leader" ? c(s) : ""].filter(Boolean).join(",")}] ${path};`; }).join("\n") + "\n" +
      d[6].map(([x, y, r, st, s]) => `\\filldraw[draw=${c(s)},fill=${{ predicted: "white", flagged: c(s) + "!34" }[V.states[st]] || c(s)}] ${at(x, y)} circle[radius=${num(r)}];`).join("\n") + "\n" +
      d[7].map(([x, y, text, , a, , s]) => `\\node[inner sep=0pt,anchor=${["west", "center", "east"][a]}${s >= 0 ? ",text=" + c(s) : ""}] at ${at(x, y)} {${t(text === 0 ? name(s) : text)}};`).join("\n") + "\n\\end{tikzpicture}";
  }).join("\n") + "\n";
}
async function png(fig) {
  const [text, w, h] = svgText(fig), image = new Image();
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: 2 * w, height: 2 * h });
  canvas.getContext("2d").drawImage(image, 0, 0, 2 * w, 2 * h);
  canvas.toBlob(blob => save(file(fig) + ".png", "image/png", blob));
}

// Explore: the same lists in plotly, values given back to places by their scales, the same series picked out.
let plotly;
async function explore(fig) {
  const dialog = $("#explore"), box = $(".plot", dialog);
  dialog.showModal();
  if (!plotly) { const text = await inflate($("#plotly-gz")), script = document.createElement("script"); script.textContent = text; document.head.append(script); plotly = window.Plotly; }
  const found = lists(fig), across = Math.min(found.length, 3), down = Math.ceil(found.length / across), traces = [], p = pins();
  const css = k => getComputedStyle(document.documentElement).getPropertyValue(k).trim();
  const layout = { showlegend: false, paper_bgcolor: css("--bg"), plot_bgcolor: css("--bg"), font: { color: css("--ink"), size: 12 }, margin: { t: 30, l: 60, r: 20, b: 50 }, grid: { rows: down, columns: across, pattern: "independent" }, annotations: [] };
  const axis = (s, title) => ({ type: s[4] ? "log" : "linear", range: [s[2], s[3]].map(v => s[4] ? Math.log10(v) : v), tickvals: s[5].map(x => x[0]), ticktext: s[5].map(x => x[1]), gridcolor: css("--grid"), zeroline: false, title: { text: title, font: { size: 11 } } });
  found.forEach((d, k) => {
    const id = k ? k + 1 : "";
    layout["xaxis" + id] = axis(d[3], ""); layout["yaxis" + id] = axis(d[4], d[2]);
    const flip = d[4][0] < d[4][1] ? 1 : 0; if (flip) layout["yaxis" + id].range.reverse();
    for (const [r, s, ...pts] of d[5]) {
      const w = V.roles[r];
      if (!["line", "dashed", "whisker", "front", "base"].includes(w)) continue;
      const q = pairs(pts);
      traces.push({ x: q.map(a => back(d[3], a[0])), y: q.map(a => back(d[4], a[1])), xaxis: "x" + id, yaxis: "y" + id, mode: "lines", hoverinfo: "skip", line: { color: s < 0 ? css("--ink3") : colour(s), width: p.includes(s) && w === "line" ? 3 : 1.4, dash: w === "dashed" ? "dot" : "solid" } });
    }
    const by = {};
    d[6].forEach(x => (by[x[4]] = by[x[4]] || []).push(x));
    const tips = Object.fromEntries(Object.entries(allTips()).map(([s, t]) => [s, t.replace(/\n/g, "<br>")]));
    for (const [s, dots] of Object.entries(by)) traces.push({ name: name(s), meta: +s, x: dots.map(a => back(d[3], a[0])), y: dots.map(a => back(d[4], a[1])), xaxis: "x" + id, yaxis: "y" + id, mode: fig === "choice" ? "markers+text" : "markers", text: dots.map(() => name(s)), textposition: "top center", textfont: { color: colour(s) }, hovertemplate: (fig === "choice" ? tips[s] || name(s) : `${name(s)}<br>%{x}: %{y}`) + "<extra></extra>",
      marker: { size: dots.map(a => 2 * a[2]), color: dots.map(a => V.states[a[3]] === "predicted" ? css("--bg") : colour(s)), opacity: dots.map(a => V.states[a[3]] === "flagged" ? .55 : 1), line: { color: p.includes(+s) ? css("--acc") : colour(s), width: p.includes(+s) ? 2.5 : 1 } } });
  });
  await plotly.newPlot(box, traces, layout, { responsive: true, displaylogo: false });
}

// What a reader does.
const redo = (what = all) => { what(); write(); };
document.addEventListener("click", async event => {
  const set = event.target.closest("button[data-set]"), act = event.target.closest("[data-do]"), link = event.target.closest('a[href^="#scheme-"]'), close = event.target.closest(".card .close"), head = event.target.closest("#board thead button");
  if (set) choose(set.dataset.set, set.dataset.to);
  else if (act) {
    const fig = act.parentElement.dataset.fig, what = act.dataset.do;
    if (what === "svg") save(file(fig) + ".svg", "image/svg+xml", svgText(fig)[0]);
    else if (what === "png") png(fig);
    else if (what === "csv") save(file(fig) + ".csv", "text/csv", csv(fig));
    else if (what === "records") save("records.jsonl", "application/x-ndjson", await inflate($("#records")));
    else if (what === "tex") save(file(fig) + ".tex", "text/x-tex", tikz(fig));
    else if (what === "explore") explore(fig);
    else if (what === "link") { const address = location.href.split("#")[0] + write(false) + "&fig=" + fig; try { await navigator.clipboard.writeText(address); act.textContent = "copied"; } catch { act.textContent = "in the address bar"; history.replaceState(null, "", "#" + address.split("#")[1]); } setTimeout(() => act.textContent = "copy link", 1500); }
  } else if (link) { event.preventDefault(); opener = link; S.card = link.getAttribute("href").slice(8); card(true); write(); }
  else if (close) { event.preventDefault(); shut(); }
  else if (head) { const k = head.parentElement.dataset.k; sorted = { k, down: sorted.k === k && !sorted.down }; redo(board); }
});
let opener;
function shut() { S.card = null; card(); write(); if (opener && opener.isConnected) opener.focus(); }
function choose(key, to) {
  if (key === "n" || key === "least") S[key] = +to;
  else if (key === "pass" || key === "causal" || key === "base") {
    const want = { pass: view.pass, causal: view.causal, base: view.base, [key]: key === "pass" ? to : +to };
    view = D.views.find(v => same(v, want.pass, want.causal, want.base)) || D.views.find(v => v.base === want.base && v[key] === want[key]) || view;
    if (!view.lengths.includes(S.n)) S.n = view.usual;
    if (!view.metrics.some(m => m[0] === S.metric)) S.metric = view.metrics[0][0];
    if (!view.curves[S.curve]) S.curve = Object.keys(view.curves)[0];
  } else S[key] = to;
  redo();
}
document.addEventListener("change", event => {
  const t = event.target;
  if (t.id === "curve") { S.curve = t.value; redo(curves); }
  else if (t.dataset.set) choose(t.dataset.set, t.value);
  else if (t.matches("#board input")) { const s = +t.closest("tr").dataset.s, p = pins().filter(x => x !== s); S.pins = t.checked ? [...p, s] : p; redo(() => { restyle(); board(); pair(); }); }
});
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
  const step = (list, now, by) => list[Math.max(0, Math.min(list.length - 1, list.indexOf(now) + by))];
  if (event.key === "[" || event.key === "]") choose("n", step(view.lengths, S.n, event.key === "]" ? 1 : -1));
  else if (event.key === "p") { const all = [...new Set(D.views.map(v => v.pass))]; choose("pass", all[(all.indexOf(view.pass) + 1) % all.length]); }
  else if (event.key === "c") choose("causal", view.causal ? 0 : 1);
  else if (event.key === "Escape" && S.card) shut();
});
const hover = event => {
  const at = event.target.closest && (event.target.closest("[data-s]") || event.target.closest("[data-l]"));
  const s = !at ? -1 : at.dataset.s !== undefined ? +at.dataset.s : D.series.findIndex(x => x[0] === at.dataset.l);
  $("#hover").textContent = s < 0 ? "" : `.fig [data-s]:not(.s${s}){opacity:.25}.fig .s${s}.line{stroke-width:2.6}.board .s${s}{background:var(--soft)}`;
};
document.addEventListener("pointerover", hover); document.addEventListener("focusin", hover);
addEventListener("popstate", () => { read(); all(); });
read();
if (opened()) { controls(); restyle(); kinds(); pair(); card(); } else all();
if (S.fig) { const at = document.getElementById(S.fig === "curves" ? "curves" : S.fig); if (at) at.scrollIntoView(); }
document.documentElement.classList.add("ready");
(window.requestIdleCallback || setTimeout)(() => document.documentElement.classList.add("settled"));
})();
