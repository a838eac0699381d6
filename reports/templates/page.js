"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // A scheme that is pointed at or pressed stands out in every panel.
  const pressed = new Set();
  let pointed = null;

  function show() {
    const chosen = new Set(pressed);
    if (pointed !== null) chosen.add(pointed);
    document.body.classList.toggle("focusing", chosen.size > 0);
    for (const part of all("svg .s[data-s]")) part.classList.toggle("hot", chosen.has(part.dataset.s));
    for (const button of all(".legend button")) button.setAttribute("aria-pressed", pressed.has(button.dataset.s));
    for (const trace of all(".js-plotly-plot .scatterlayer .trace")) {
      const name = [...trace.classList].find((c) => /^traces\d+$/.test(c));
      trace.classList.toggle("hot", name !== undefined && chosen.has(name.slice(6)));
    }
  }
  function point(index) {
    pointed = index;
    show();
  }
  for (const button of all(".legend button")) {
    const index = button.dataset.s;
    button.addEventListener("click", () => {
      pressed.has(index) ? pressed.delete(index) : pressed.add(index);
      show();
    });
    for (const on of ["mouseenter", "focus"]) button.addEventListener(on, () => point(index));
    for (const off of ["mouseleave", "blur"]) button.addEventListener(off, () => point(null));
  }
  for (const part of all(".plot svg .s[data-s]")) {
    part.addEventListener("mouseenter", () => point(part.dataset.s));
    part.addEventListener("mouseleave", () => point(null));
  }

  // Tables sort by the exact value of a cell; rows without one stay last.
  function key(row, column) {
    const cell = row.cells[column];
    if (cell.dataset.v === undefined) return cell.innerText.trim().toLowerCase();
    return cell.dataset.v === "" ? null : Number(cell.dataset.v);
  }
  function sort(table, column) {
    const heads = all("thead th", table);
    const down = heads[column].getAttribute("aria-sort") === "ascending";
    heads.forEach((head, k) => (k === column ? head.setAttribute("aria-sort", down ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
      return down ? -order : order;
    });
    body.append(...rows.map(([, row]) => row));
  }
  for (const table of all("table.sortable")) {
    all("thead button", table).forEach((button, column) => button.addEventListener("click", () => sort(table, column)));
  }
  for (const input of all(".filter input")) {
    const table = document.getElementById(input.getAttribute("aria-controls"));
    const told = input.closest(".filter").querySelector("[role=status]");
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        const text = row.innerText.toLowerCase();
        const keep = wanted.every((word) => text.includes(word));
        row.hidden = !keep;
        shown += keep;
      }
      told.textContent = wanted.length ? `${shown} of ${table.tBodies[0].rows.length} points` : "";
    });
  }

  // Interactive figures: plotly, unpacked from this page, takes the place of each drawing when it comes into view.
  const packed = document.getElementById("plotly-gz");
  const data = document.getElementById("figures-data");
  if (!packed || !data || !("DecompressionStream" in window)) return;
  const { figures, styles, names } = JSON.parse(data.textContent);
  const symbols = { circle: "circle", square: "square", diamond: "diamond", up: "triangle-up", down: "triangle-down", cross: "x-thin", plus: "cross-thin" };
  const glyphs = { oom: "x-thin", predicted_oom: "circle-x-open", over_budget: "circle-cross-open", timeout: "hourglass", unsupported: "line-ew", failed: "line-ns", killed: "square-open", missing: "circle-open" };

  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const hue = (index) => {
    const probe = document.querySelector(`.legend button[data-s="${index}"]`);
    return getComputedStyle(probe).getPropertyValue("--c").trim();
  };
  const dash = (style) => (style.dash ? style.dash.split(" ").map((x) => `${x}px`).join(",") : "solid");

  function trace(line) {
    const style = styles[line.s];
    const drawn = line.strong ? hue(line.s) : colour("--faint");
    const thin = ["cross", "plus"].includes(style.marker);
    return {
      type: "scatter", mode: line.strong ? "lines+markers" : "lines", uid: `s${line.s}`, name: style.label, x: line.n, y: line.v, connectgaps: false, text: line.t,
      hovertemplate: `<b>${style.label}</b><br>n = %{customdata}<br>%{text}<extra></extra>`, customdata: line.l,
      line: { color: drawn, width: line.strong ? (style.ink ? 2.4 : 1.9) : 1.1, dash: line.strong ? dash(style) : "solid" },
      marker: { color: drawn, size: 6.5, symbol: line.p.map((predicted) => symbols[style.marker] + (predicted && !thin ? "-open" : thin ? "-open" : "")), line: { color: drawn, width: 1.5 } },
      error_y: line.hi && line.strong ? { type: "data", symmetric: false, array: line.hi, arrayminus: line.lo, color: drawn, thickness: 1.1, width: 2 } : undefined,
    };
  }
  function strip(panel) {
    const ink = colour("--soft");
    const rows = [...new Set(panel.marks.map((m) => m.status))];
    return rows.map((status, k) => {
      const mine = panel.marks.filter((m) => m.status === status);
      return {
        type: "scatter", mode: "markers", uid: `m${k}`, x: mine.map((m) => m.n), y: mine.map(() => rows.length - k), yaxis: "y2", text: mine.map((m) => m.text),
        hovertemplate: `<b>${names[status]}</b> at n = %{customdata}<br>%{text}<extra></extra>`, customdata: mine.map((m) => m.l),
        marker: { symbol: glyphs[status], size: 9, color: mine.map((m) => (m.s === null ? ink : hue(m.s))), line: { width: 1.6, color: mine.map((m) => (m.s === null ? ink : hue(m.s))) } },
      };
    });
  }
  function layout(panel, size) {
    const soft = colour("--soft");
    const font = { family: colour("--sans"), size: 11 * size, color: soft };
    const axis = { type: "log", showgrid: false, zeroline: false, tickmode: "array", ticks: "", linecolor: colour("--faint"), tickfont: font, fixedrange: false };
    const labels = panel.lines.filter((line) => line.at !== null).map((line) => ({
      xref: "paper", yref: "paper", x: line.at[0], y: line.at[1], xanchor: "left", yanchor: "middle", showarrow: false, borderpad: 0,
      text: `<b>${styles[line.s].label}</b>${line.e === null ? "" : ` n<sup>${line.e}</sup>`}`, font: { ...font, color: hue(line.s) },
    }));
    const shapes = panel.lines.filter((line) => line.at !== null && line.at.length > 2).map((line) => ({
      type: "line", layer: "below", xref: "paper", yref: "paper", x0: line.at[2], y0: line.at[3], x1: line.at[0], y1: line.at[1], line: { color: hue(line.s), width: 1, dash: "1px,3px" }, opacity: 0.8,
    }));
    const rows = [...new Set(panel.marks.map((m) => m.status))].map((status, k, list) => ({
      xref: "paper", yref: "y2", x: 1, y: list.length - k, xanchor: "left", yanchor: "middle", xshift: 7 * size, borderpad: 0, showarrow: false, text: names[status], font,
    }));
    return {
      margin: { l: panel.box.l * size, r: panel.box.r * size, t: panel.box.t * size, b: panel.box.b * size, pad: 0 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false, hovermode: "closest", dragmode: "zoom", font, annotations: [...labels, ...rows], shapes,
      hoverlabel: { bgcolor: colour("--panel"), bordercolor: colour("--rule"), font: { ...font, color: colour("--ink") } },
      xaxis: { ...axis, range: panel.x.range, tickvals: panel.x.ticks, ticktext: panel.x.labels, showline: true, title: { text: "<i>n</i>", font, standoff: 4 } },
      yaxis: { ...axis, range: panel.y.range, tickvals: panel.y.ticks, ticktext: panel.y.labels, showgrid: true, gridcolor: colour("--grid"), domain: [0, panel.split] },
      yaxis2: { visible: false, range: [0.5, Math.max(rows.length, 1) + 0.5], domain: [panel.strip, 1], fixedrange: true },
    };
  }
  const config = { displayModeBar: false, responsive: true, displaylogo: false, doubleClick: "reset" };

  function upgrade(plot) {
    const panel = figures[plot.dataset.figure][Number(plot.dataset.panel)];
    let live = plot.querySelector(".live");
    if (!live) {
      live = document.createElement("div");
      live.className = "live";
      plot.append(live);
    }
    const traces = [...panel.lines].sort((a, b) => a.strong - b.strong).map(trace).concat(strip(panel));
    return Plotly.react(live, traces, layout(panel, plot.clientWidth / panel.box.w), config).then(() => {
      if (plot.classList.contains("upgraded")) return;
      plot.classList.add("upgraded");
      live.on("plotly_hover", (event) => /^s\d+$/.test(event.points[0].data.uid) && point(event.points[0].data.uid.slice(1)));
      live.on("plotly_unhover", () => point(null));
      live.on("plotly_relayout", (change) => {
        const zoomed = Object.keys(change).some((k) => k.includes(".range["));
        const reset = Object.keys(change).some((k) => k.includes("autorange") || k.endsWith(".range"));
        if (!zoomed && !reset) return;
        const direct = panel.lines.filter((line) => line.at !== null).length;
        const parts = [...Array(direct).keys()].map((k) => `annotations[${k}]`).concat([...Array(live.layout.shapes.length).keys()].map((k) => `shapes[${k}]`));
        Plotly.relayout(live, Object.fromEntries(parts.map((part) => [`${part}.visible`, !zoomed])));
      });
    });
  }
  async function unpack() {
    const bytes = Uint8Array.from(atob(packed.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    packed.remove();
  }
  async function start() {
    await unpack();
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        seen.unobserve(entry.target);
        upgrade(entry.target);
      }
    }, { rootMargin: "300px" });
    for (const plot of all(".plot")) seen.observe(plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all(".plot.upgraded").forEach(upgrade));
    root.classList.add("hydrated");
  }
  const soon = window.requestIdleCallback || ((task) => setTimeout(task, 200));
  addEventListener("load", () => soon(start));
})();
