// The gene explorer: fills explorer.html.j2 from the numbers that explorer.py has packed into it.
// DataTables makes the table, plotly.js the charts. Works in a sandboxed frame: no network, no
// storage, no downloads.

const GREY = "#9a9a9a";
const BLUE = "#2b6ca3";
const CHOSEN = "#d1662b";
// After Okabe and Ito: distinct for the colour-blind.
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#999933", "#333333"];
const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "cross", "x"];
// Few buttons: they share the line of the title, and dragging zooms anyway.
const CONFIG = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]] };
const MISSING = -32768;
const UNKNOWN = "not known";

const byId = (id) => document.getElementById(id);
const sandboxed = location.protocol === "blob:"; // as in MLflow's viewer, which blocks downloads
const narrow = matchMedia("(max-width: 700px)").matches;

// ---- Unpacking

async function unpack(name) {
  const packed = byId(`packed-${name}`);
  const { body } = await fetch(`data:application/gzip;base64,${packed.textContent}`);
  packed.remove();
  return new Response(body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

const unpackText = async (name) => new TextDecoder().decode(await unpack(name));

async function loadLibraries() {
  const script = document.createElement("script");
  script.textContent = await unpackText("plotly");
  document.head.append(script);
  const module = new Blob([await unpackText("datatables")], { type: "text/javascript" });
  return (await import(URL.createObjectURL(module))).default;
}

// Replaces every {type, at, length, scale} among the facts by its array.
function fillIn(facts, buffer) {
  const types = { uint16: Uint16Array, float32: Float32Array };
  for (const [name, value] of Object.entries(facts)) {
    if (value === null || typeof value !== "object") continue;
    if (!("scale" in value && "at" in value)) {
      fillIn(value, buffer);
      continue;
    }
    facts[name] = value.scale
      ? multiples(value, buffer)
      : new types[value.type](buffer, value.at, value.length);
  }
  return facts;
}

// Integers of two bytes, all lower bytes first, times a scale; 0, 1, 2, 3, ... are 0, -1, 1, -2, ...
function multiples({ at, length, scale }, buffer) {
  const low = new Uint8Array(buffer, at, length);
  const high = new Uint8Array(buffer, at + length, length);
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const stored = low[i] + 256 * high[i];
    const whole = stored % 2 ? -(stored + 1) / 2 : stored / 2;
    values[i] = whole === MISSING ? NaN : whole * scale;
  }
  return values;
}

// Where the items of each gene begin; they end where those of the next begin.
function starts(counts) {
  const first = new Uint32Array(counts.length + 1);
  counts.forEach((n, gene) => (first[gene + 1] = first[gene] + n));
  return first;
}

// ---- Words and numbers

const number = (value, digits = 3) =>
  Number.isFinite(value) ? value.toFixed(digits).replace("-", "−") : "–";

// plotly.js reads some HTML in its texts.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");

function fillTable(table, headings, rows) {
  table.replaceChildren();
  const addRow = (cells, tag) => {
    const row = table.insertRow();
    for (const text of cells) {
      const cell = document.createElement(tag);
      cell.textContent = text;
      row.append(cell);
    }
  };
  if (rows.length) addRow(headings, "th");
  rows.forEach((cells) => addRow(cells, "td"));
  if (!rows.length) addRow(["none was left out for this gene"], "td");
}

// ---- The page

async function main() {
  const DataTable = await loadLibraries();
  const facts = fillIn(JSON.parse(await unpackText("facts")), await unpack("arrays"));
  const { columns, lines, pairs, fitted, histograms, guides, leftOut, nDraws } = facts;
  const column = Object.fromEntries(columns.map((one) => [one.name, one.values]));
  const genes = column.gene;
  const first = { pairs: starts(pairs.n), guides: starts(guides.n), leftOut: starts(leftOut.n) };
  const meanGamma = lines.gamma.reduce((sum, one) => sum + one, 0) / lines.gamma.length;
  const lineages = [...new Set(lines.lineage.map((one) => one || UNKNOWN))].sort();
  let chosen = -1;

  const rate = (value) => {
    if (!Number.isFinite(value)) return "–";
    return value < 1 / nDraws ? `< ${(1 / nDraws).toPrecision(1)}` : value.toPrecision(2);
  };

  // -- Table

  function geneButton(gene) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = genes[gene];
    return button;
  }

  const formats = { number, rate, integer: String, text: String };
  const exported = (value) => (typeof value === "number" ? String(Number(value.toPrecision(7))) : value);

  function tableColumn({ name, title, meaning, kind, values }) {
    const wide = ["flags", "driven by", "beta_hdi_low", "beta_hdi_high"].includes(name);
    return {
      name,
      title: title || name,
      visible: Boolean(title) && !(narrow && wide),
      searchable: kind === "text" && Boolean(title),
      className: kind === "text" ? (name === "flags" ? "dt-left wrapped" : "dt-left") : "dt-right",
      type: kind === "text" ? "string" : "num",
      data: (gene, use) => {
        const value = values[gene];
        if (use === "csv") return Number.isNaN(value) ? "" : exported(value);
        if (use !== "display") return Number.isNaN(value) ? Infinity : value;
        return name === "gene" ? geneButton(gene) : DataTable.util.escapeHtml(formats[kind](value));
      },
      createdCell: (cell) => (cell.title = meaning),
    };
  }

  const table = new DataTable("#genes", {
    data: Array.from(genes, (_, gene) => gene),
    columns: columns.map(tableColumn),
    order: [],
    pageLength: 10,
    lengthChange: false,
    autoWidth: false,
    language: { search: "Search", info: "_START_ to _END_ of _TOTAL_ genes", infoFiltered: "(_MAX_ in all)" },
    layout: {
      topStart: {
        buttons: [
          {
            extend: sandboxed ? "copy" : "csv",
            text: sandboxed ? "Copy as table" : "CSV",
            filename: "gene_effects",
            title: null,
            exportOptions: {
              columns: columns.flatMap((one, at) => (["driven by", "flags"].includes(one.name) ? [] : at)),
              orthogonal: "csv",
              format: {
                header: (title) => columns.find((one) => one.title === title)?.name ?? title,
                body: (value) => value, // a name that looks like HTML stays whole
              },
            },
          },
        ],
      },
      topEnd: "search",
      bottomStart: "info",
      bottomEnd: { paging: { buttons: narrow ? 3 : 5 } },
    },
  });

  const among = () => table.rows({ search: "applied", order: "applied" }).data().toArray();

  function filterBy(select, matches) {
    byId(select)?.addEventListener("change", (event) => {
      const wanted = event.target.value;
      table.search.fixed(select, wanted ? (_, gene) => matches(gene, wanted) : null).draw();
    });
  }
  const flagsOf = (gene) => column.flags[gene].split(", ");
  filterBy("by-call", (gene, wanted) => column.call[gene] === wanted);
  filterBy("by-flag", (gene, wanted) =>
    wanted === "none" ? column.flags[gene] === "" : flagsOf(gene).includes(wanted));
  filterBy("by-lineage", (gene, wanted) =>
    column.most_influential_lineage[gene] === wanted &&
    flagsOf(gene).some((flag) => flag.includes("lineage")));

  function markRow() {
    const body = table.table().body();
    body.querySelectorAll("tr.chosen").forEach((row) => row.classList.remove("chosen"));
    table.row(chosen).node()?.classList.add("chosen");
  }

  function step(by) {
    const order = among();
    const at = order.indexOf(chosen) + by;
    if (order.length) choose(order[Math.min(Math.max(at, 0), order.length - 1)]);
  }
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));

  table.on("click", "tbody tr", (event) => {
    const gene = table.row(event.target.closest("tr")).data();
    if (gene !== undefined) choose(gene);
  });
  table.on("keydown", "tbody button", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
    table.row(chosen).node()?.querySelector("button").focus();
  });

  // -- Charts of all genes

  const confidence = Array.from(column.lfsr, (lfsr) => -Math.log10(Math.max(lfsr, 1 / nDraws)));
  const overview = {
    volcano: {
      x: column.beta_mean,
      y: confidence,
      layout: {
        title: { text: "Effect size and confidence", x: 0, xref: "paper" },
        xaxis: { title: { text: "beta", standoff: 6 }, automargin: true },
        yaxis: { title: { text: "−log10 lfsr" }, rangemode: "tozero" },
        shapes: [{
          type: "line", xref: "paper", x0: 0, x1: 1,
          y0: Math.log10(nDraws), y1: Math.log10(nDraws), line: { dash: "dash", width: 1, color: GREY },
        }],
      },
    },
    rank: {
      x: Array.from(genes, (_, gene) => gene + 1),
      y: column.beta_mean,
      layout: {
        title: { text: "Slopes in order", x: 0, xref: "paper" },
        xaxis: { title: { text: "rank, 1: the most negative slope", standoff: 6 }, automargin: true },
        yaxis: { title: { text: "beta" } },
      },
    },
  };

  function styled(layout) {
    return {
      font: { size: 12 },
      margin: { l: 55, r: 10, t: 35, b: 70 },
      hovermode: "closest",
      legend: { orientation: "h", traceorder: "normal", yref: "container", y: 0, yanchor: "bottom" },
      ...layout,
    };
  }

  function pointsOf(chart, shown, name, marker) {
    return {
      type: shown.length > 3000 ? "scattergl" : "scatter",
      mode: "markers",
      name,
      x: shown.map((gene) => chart.x[gene]),
      y: shown.map((gene) => chart.y[gene]),
      customdata: shown,
      text: shown.map((gene) =>
        `${plain(genes[gene])}<br>beta ${number(column.beta_mean[gene])}, lfsr ${rate(column.lfsr[gene])}`),
      hovertemplate: "%{text}<extra></extra>",
      marker: { size: 6, opacity: 0.75, ...marker },
    };
  }

  function drawOverview() {
    const shown = among();
    for (const [id, chart] of Object.entries(overview)) {
      const traces = Object.entries(facts.colours).map(([call, color]) =>
        pointsOf(chart, shown.filter((gene) => column.call[gene] === call), call, { color }));
      traces.push(
        pointsOf(chart, chosen < 0 ? [] : [chosen], "chosen",
          { size: 13, color: "rgba(0,0,0,0)", line: { color: "#000", width: 2 }, opacity: 1 }));
      traces.at(-1).showlegend = false;
      Plotly.react(id, traces.filter((trace) => trace.x.length), styled(chart.layout), CONFIG);
    }
  }

  // -- The chosen gene

  function linesOf(gene) {
    let line = 0;
    return Array.from({ length: pairs.n[gene] }, (_, i) => {
      line = i ? line + pairs.step[first.pairs[gene] + i] : pairs.step[first.pairs[gene]];
      return { line, at: first.pairs[gene] + i };
    });
  }

  function colourGroups(points, by) {
    if (by !== "lineage") return [["cell lines", points]];
    const groups = Map.groupBy(points, ({ line }) => lines.lineage[line] || UNKNOWN);
    return lineages.filter((one) => groups.has(one)).map((one) => [one, groups.get(one)]);
  }

  function drawOverRna(gene) {
    const by = byId("colour").value;
    const measured = byId("level").value === "measured";
    const logfc = ({ line, at }) =>
      measured ? pairs.logfc[at] : (pairs.logfc[at] - lines.gamma[line]) / lines.scale[line] + meanGamma;
    const x = (points) => points.map(({ at }) => pairs.rna[at]);
    const without = new Map(rowsLeftOut(gene, "cell_line").map(({ at, label }) => [label, at]));
    const influence = (at) => at === undefined ? "" :
      `without it: slope ${number(leftOut.beta[at])}, changed by ${number(leftOut.change[at], 2)} SD`;
    const text = (points) => points.map(({ line, at }) => [
      lines.label[line], lines.lineage[line],
      `RNA ${number(pairs.rna[at], 2)} ${facts.rnaUnit}`,
      `log fold change ${number(pairs.logfc[at], 2)} as measured`,
      pairs.copyNumber ? `copy number ${number(pairs.copyNumber[at], 2)} log2(ratio + 1)` : "",
      influence(without.get(lines.label[line])),
    ].filter(Boolean).map(plain).join("<br>"));
    const points = linesOf(gene);
    const drawn = (some, more) => ({
      mode: "markers", x: x(some), y: some.map(logfc), text: text(some),
      hovertemplate: "%{text}<extra></extra>", ...more,
    });

    const part = (values) => values.subarray(gene * fitted.points, (gene + 1) * fitted.points);
    const band = { x: part(fitted.rna), mode: "lines", hoverinfo: "skip", showlegend: false };
    const traces = [
      { ...band, y: part(fitted.low), line: { width: 0 } },
      { ...band, y: part(fitted.high), line: { width: 0 }, fill: "tonexty", fillcolor: `${BLUE}33` },
      { ...band, y: part(fitted.fitted), line: { color: BLUE, width: 2 } },
    ];
    colourGroups(points, by).forEach(([name, some]) => {
      const marker = { size: 7, opacity: 0.8, color: "#666" };
      if (by === "lineage") {
        const at = lineages.indexOf(name);
        marker.color = COLOURS[at % COLOURS.length];
        marker.symbol = SYMBOLS[Math.floor(at / COLOURS.length) % SYMBOLS.length];
      }
      if (by === "copy number") {
        marker.color = some.map(({ at }) => pairs.copyNumber[at]);
        Object.assign(marker, { colorscale: "Viridis", showscale: true });
        const title = { text: "copy number, log2(ratio + 1)", side: narrow ? "top" : "right" };
        marker.colorbar = { title, thickness: 12, orientation: narrow ? "h" : "v" };
      }
      traces.push(drawn(some, { name: plain(name), marker, showlegend: by === "lineage" }));
    });
    traces.push(drawn(points.filter(({ line }) => without.has(lines.label[line])), {
      name: "most influential lines", showlegend: false,
      marker: { size: 13, symbol: "circle-open", color: CHOSEN, line: { width: 2 } },
    }));
    const title = `log fold change${measured || narrow ? "" : ", minus the line’s effect"}`;
    // Anew: the margins of the last legend would stay.
    Plotly.newPlot("over-rna", traces, styled({
      margin: { l: 55, r: 10, t: 10, b: 45 },
      xaxis: { title: { text: `RNA, ${facts.rnaUnit}`, standoff: 6 }, automargin: true },
      yaxis: { title: { text: title } },
    }), CONFIG);
    const all = pairs.of[gene];
    byId("shown").textContent = points.length < all
      ? `${points.length} of ${all} cell lines, evenly spaced over RNA: the page has room for all ` +
        "lines of the surest genes only."
      : `${all} cell lines.`;
  }

  function drawPosterior(gene) {
    const { bins, low, high, counts, zero } = histograms;
    const width = (high[gene] - low[gene]) / bins;
    const own = Array.from(counts.subarray(gene * bins, (gene + 1) * bins));
    const total = own.reduce((sum, n) => sum + n, zero[gene]);
    const zeros = zero[gene] ? `; exactly 0: ${(100 * zero[gene] / total).toFixed(0)} %` : "";
    const line = (value, dash, color) =>
      ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: value, x1: value, line: { width: 1, dash, color } });
    Plotly.react("posterior", [{
      type: "bar", width, marker: { color: BLUE },
      x: own.map((_, bin) => low[gene] + (bin + 0.5) * width), y: own.map((n) => n / total),
      hovertemplate: "beta %{x:.3f}: %{y:.1%} of the draws<extra></extra>",
    }], styled({
      title: { text: `Posterior of beta${zeros}`, font: { size: 13 } },
      margin: { l: 55, r: 10, t: 30, b: 35 }, bargap: 0,
      yaxis: { tickformat: ".0%", title: { text: "draws" } },
      shapes: [
        line(0, "dash", "#333"),
        line(column.beta_hdi_low[gene], "dot", BLUE),
        line(column.beta_hdi_high[gene], "dot", BLUE),
      ],
    }), CONFIG);
  }

  function rowsLeftOut(gene, unit) {
    const rows = [];
    for (let at = first.leftOut[gene]; at < first.leftOut[gene + 1]; at++) {
      if (leftOut.unit[at] === unit) rows.push({ at, label: leftOut.label[at] });
    }
    return rows;
  }

  function writeTables(gene) {
    const own = Array.from({ length: guides.n[gene] }, (_, i) => first.guides[gene] + i);
    fillTable(byId("guides"), ["guide", "cell lines", "log fold change", "slope"], own.map((at) =>
      [guides.guide[at], guides.lines[at], number(guides.logfc[at]), number(guides.slope[at])]));
    const left = [...rowsLeftOut(gene, "cell_line"), ...rowsLeftOut(gene, "lineage")];
    fillTable(byId("left-out"), ["without", "slope", "change in SD", "lfsr"], left.map(({ at, label }) =>
      [label, number(leftOut.beta[at]), number(leftOut.change[at], 2), rate(leftOut.lfsr[at])]));
  }

  function writeWords(gene) {
    const call = column.call[gene];
    const reason = column.call_reason?.[gene];
    byId("name").textContent = genes[gene];
    byId("effect").textContent =
      `Slope ${number(column.beta_mean[gene])} per SD of RNA, 89 % interval ${number(column.beta_hdi_low[gene])} ` +
      `to ${number(column.beta_hdi_high[gene])}; lfsr ${rate(column.lfsr[gene])}; rank ${gene + 1} of ${genes.length}. ` +
      `Call: ${facts.directions[call] ?? [call, reason].filter(Boolean).join(": ")}.`;
    const words = facts.words[gene] ?? facts.words[column.flags[gene]] ?? [];
    byId("words").replaceChildren(...words.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }));
  }

  function drawGene() {
    writeWords(chosen);
    drawOverRna(chosen);
    drawPosterior(chosen);
    writeTables(chosen);
  }
  byId("colour").addEventListener("change", () => drawOverRna(chosen));
  byId("level").addEventListener("change", () => drawOverRna(chosen));

  function choose(gene) {
    chosen = gene;
    const at = among().indexOf(gene);
    const page = Math.floor(at / table.page.len());
    if (at >= 0 && page !== table.page()) table.page(page).draw("page"); // drawing loses the focus
    markRow();
    drawOverview();
    drawGene();
  }

  byId("status").remove();
  document.querySelector("main").hidden = false;
  const asked = (new URLSearchParams(location.hash.replace("#", "gene=")).get("gene") ?? "").toLowerCase();
  const found = genes.findIndex((gene) =>
    asked && [gene, gene.split(" (")[0]].some((name) => name.toLowerCase() === asked));
  choose(Math.max(found, 0));
  table.on("search", drawOverview);
  table.on("draw", markRow);
  for (const id of Object.keys(overview)) {
    byId(id).on("plotly_click", ({ points }) => choose(points[0].customdata));
  }
}

main().catch((error) => {
  const status = byId("status") ?? document.querySelector("main");
  status.setAttribute("role", "alert");
  status.textContent = `The page cannot be shown (${error.message}). It needs a browser of 2024 or later.`;
  throw error;
});
