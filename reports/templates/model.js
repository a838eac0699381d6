"use strict";
(() => {
const $$ = (q, at = document) => [...at.querySelectorAll(q)], D = JSON.parse(document.getElementById("data").textContent);
document.documentElement.classList.add("js");
let S;

// State: what the address says, else what the page opened with.
function read() {
  const h = new URLSearchParams(location.hash.slice(1)), named = h.getAll("s").map(l => D.names.indexOf(l)).filter(k => k >= 0);
  S = {
    n: +Object.keys(D.lengths).find(n => D.lengths[n] === h.get("n")) || D.opening.n,
    pass: D.passes.includes(h.get("pass")) ? h.get("pass") : D.opening.pass,
    y: h.get("y") === "flops" ? "flops" : "share",
    shown: named.length ? [...new Set(named)] : D.names.map((_, k) => k),
  };
}
function address() {
  const h = new URLSearchParams({ n: D.lengths[S.n], pass: S.pass, y: S.y });
  if (S.shown.length < D.names.length) S.shown.forEach(k => h.append("s", D.names[k]));
  return "#" + h;
}

// Nothing is drawn or worded here: cells and figures of every state are in the page.
function show() {
  const on = { n: [String(S.n)], pass: [S.pass], y: [S.y], model: S.shown.map(String) };
  $$("[data-set]").forEach(b => b.setAttribute("aria-pressed", on[b.dataset.set].includes(b.dataset.to)));
  $$("[data-pass]").forEach(e => { e.hidden = e.dataset.pass !== S.pass; });
  $$("[data-y]").forEach(e => { e.hidden = e.dataset.y !== S.y; });
  $$("[data-cell]").forEach(e => {
    const held = D.cells[e.closest("[data-m]").dataset.m][e.dataset.cell];
    const html = held[`${S.pass}/${S.n}`] ?? held[`/${S.n}`] ?? held[`${S.pass}/`] ?? "";
    if (e.innerHTML !== html) e.innerHTML = html;
  });
  $$("[data-passing]").forEach(e => { e.innerHTML = D.passing[e.closest("[data-m]").dataset.m][S.pass]; });
  $$("[data-setting]").forEach(e => { e.textContent = `${S.pass}, n = ${D.lengths[S.n]}`; });
  $$("[data-setting-pass]").forEach(e => { e.textContent = S.pass; });
  $$("[data-setting-n]").forEach(e => { e.textContent = D.lengths[S.n]; });
  $$("[data-rule]").forEach(e => {
    const x = Object.fromEntries(e.dataset.rule.split(" ").map(p => p.split(":")))[S.n];
    $$(".rule", e).forEach(r => r.setAttribute("points", r.getAttribute("points").replace(/(^| )[^,]+,/g, `$1${x},`)));
  });
  document.getElementById("hidden").textContent = D.names.map((_, k) => k).filter(k => !S.shown.includes(k)).map(k => `.m${k},.fig .s${k}{display:none!important}`).join("");
}
function choose(key, to) {
  if (key === "n") S.n = +to;
  else if (key === "model") { const k = +to, rest = S.shown.filter(x => x !== k); S.shown = S.shown.includes(k) ? (rest.length ? rest : S.shown) : [...rest, k].sort((a, b) => a - b); }
  else S[key] = to;
  show();
  if (address() !== location.hash) history.pushState(null, "", address());
}

function svgText(fig) {
  const found = $$(`#${fig} svg.fig`).filter(e => e.getBoundingClientRect().width), size = e => e.getAttribute("viewBox").split(" ").slice(2).map(Number);
  const across = fig === "cost" || fig === "kept" ? Math.min(found.length, 3) : 1, w = Math.max(...found.map(e => size(e)[0])) + 24, h = Math.max(...found.map(e => size(e)[1])) + 24;
  const css = [...document.styleSheets[0].cssRules].filter(r => r.selectorText && /^(:root|\.fig|\.s\d)/.test(r.selectorText)).map(r => r.cssText).join("") + document.getElementById("hidden").textContent;
  const inner = found.map((e, k) => { const copy = e.cloneNode(true); copy.setAttribute("x", (k % across) * w + 12); copy.setAttribute("y", Math.floor(k / across) * h + 12); return new XMLSerializer().serializeToString(copy); }).join("");
  const W = w * across, H = h * Math.ceil(found.length / across);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${W}" height="${H}" viewBox="0 0 ${W} ${H}"><style>${css}</style><rect width="100%" height="100%" fill="${getComputedStyle(document.body).backgroundColor}"/>${inner}</svg>`;
}
document.addEventListener("click", async event => {
  const set = event.target.closest("button[data-set]"), act = event.target.closest("button[data-do]");
  if (set) choose(set.dataset.set, set.dataset.to);
  if (!act) return;
  const fig = act.parentElement.dataset.fig, what = act.dataset.do;
  if (what === "svg") save(`${fig}-${S.pass}-${D.lengths[S.n]}.svg`, "image/svg+xml", svgText(fig));
  else if (what === "csv") save(`${act.dataset.table}.csv`, "text/csv", D.csv[act.dataset.table]);
  else {
    history.replaceState(null, "", address());
    try { await navigator.clipboard.writeText(location.href); act.textContent = "copied"; } catch { act.textContent = "in the address bar"; }
    setTimeout(() => { act.textContent = "copy link"; }, 1500);
  }
});
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
  const step = (list, now, by) => list[Math.max(0, Math.min(list.length - 1, list.indexOf(now) + by))];
  if (event.key === "[" || event.key === "]") choose("n", step(Object.keys(D.lengths), String(S.n), event.key === "]" ? 1 : -1));
  else if (event.key === "p") choose("pass", D.passes[(D.passes.indexOf(S.pass) + 1) % D.passes.length]);
});
addEventListener("popstate", () => { read(); show(); });
addEventListener("hashchange", () => { if (location.hash.includes("=")) { read(); show(); } });
read(); show();
document.documentElement.classList.add("ready");
})();
