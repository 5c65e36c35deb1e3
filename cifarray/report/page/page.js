"use strict";
// Draws the figures and tables whose content stands in this page. All text is set as text, never as markup.
(() => {
  const content = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = content("figures");
  const tables = content("tables");
  const ROWS = 25;

  // Figures, in the colours of the page.

  let printing = false;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const ink = () => (printing ? "#1f2328" : color("ink"));

  function axis(given) {
    return {
      automargin: true, exponentformat: "none", gridcolor: color("grid"), linecolor: color("line"), zerolinecolor: color("line"),
      tickcolor: color("line"), ...given,
      title: { standoff: 8, ...(given && given.title) },
    };
  }

  function layoutOf(given, height) {
    const layout = {
      ...given, height, autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink() },
      margin: { l: 48, r: 12, t: 12, b: 40, ...given.margin },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      hoverlabel: { align: "left", namelength: -1 },
    };
    for (const name of Object.keys(given)) if (/^[xy]axis\d*$/.test(name)) layout[name] = axis(given[name]);
    if (given.annotations) {
      layout.annotations = given.annotations.map((each) => ({ bgcolor: printing ? "#ffffff" : color("paper"), ...each }));
    }
    for (const name of ["xaxis", "yaxis"]) layout[name] = layout[name] || axis({});
    return layout;
  }

  function draw(box) {
    const { content: figure, width, wide } = figures[Number(box.dataset.figure)];
    if (width) box.style.minWidth = `${width}px`;
    box.closest("figure").classList.toggle("wide", wide);
    const copy = structuredClone(figure);
    for (const trace of copy.data) if (trace.texttemplate) trace.textfont = { ...trace.textfont, color: ink() };
    // On a narrow page the legend is a list above the figure, which keeps its height.
    const named = copy.data.filter((trace) => trace.name && trace.showlegend !== false).length;
    box.dataset.height = box.dataset.height || parseFloat(box.style.height);
    const height = Number(box.dataset.height) + (box.clientWidth < 520 && named > 2 ? 19 * named : 0);
    box.style.height = `${height}px`;
    const layout = layoutOf(copy.layout, height);
    return Plotly.react(box, copy.data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
  }

  const boxes = [...document.querySelectorAll(".plot")];
  // One after the other, so that the page can be read meanwhile.
  function drawFrom(place) {
    if (place === boxes.length) {
      document.documentElement.dataset.drawn = String(boxes.length);
      return;
    }
    draw(boxes[place]).then(() => setTimeout(drawFrom, 0, place + 1));
  }
  dark.addEventListener("change", () => boxes.forEach(draw));
  addEventListener("beforeprint", () => { printing = true; boxes.forEach(draw); });
  addEventListener("afterprint", () => { printing = false; boxes.forEach(draw); });

  // Tables.

  const write = {
    text: (value) => String(value),
    count: (value) => Math.round(value).toLocaleString("en-US"),
    number: (value) => String(Number(value.toPrecision(4))),
    size: (value) => {
      const [unit, of] = [[1e9, " G"], [1e6, " M"], [1e3, " k"]].find(([least]) => value >= least) || [1, ""];
      return String(Number((value / unit).toPrecision(3))) + of;
    },
    percent: (value) => `${(100 * value).toFixed(2)} %`,
    minutes: (value) => {
      const seconds = Math.floor(60 * value + 1e-6);
      const two = (number) => String(number).padStart(2, "0");
      const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
      return seconds < 3600 ? rest.replace(/^0/, "") : `${Math.floor(seconds / 3600)}:${rest}`;
    },
  };
  const shown = (value, kind) =>
    value === null ? "–" : (typeof value === "number" ? write[kind] : write.text)(value);

  const words = (kind) => ({ text: "text", long: "text long" })[kind] || "";

  function compare(left, right) {
    if (typeof left === "number" && typeof right === "number") return left - right;
    return String(left).localeCompare(String(right), "en", { numeric: true });
  }

  function element(name, text, parent) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  function fill(box) {
    const { columns, rows } = tables[Number(box.dataset.table)];
    const [head, body] = [box.querySelector("thead"), box.querySelector("tbody")];
    let [order, sorted, down, page] = [rows.map((_, place) => place), -1, false, 0];
    const line = element("tr", undefined, head);
    const headings = columns.map(([name, kind], place) => {
      const cell = element("th", undefined, line);
      cell.scope = "col";
      cell.className = words(kind);
      const button = element("button", name, cell);
      button.type = "button";
      button.addEventListener("click", () => { sort(place); show(); });
      return cell;
    });
    const pages = element("div", undefined, box);
    pages.className = "pages";
    const back = element("button", "Previous", pages);
    const where = element("span", "", pages);
    const on = element("button", "Next", pages);
    back.addEventListener("click", () => { page -= 1; show(); });
    on.addEventListener("click", () => { page += 1; show(); });
    pages.hidden = rows.length <= ROWS;
    if (pages.hidden) pages.style.display = "none";

    function sort(place) {
      down = sorted === place ? !down : false;
      [sorted, page] = [place, 0];
      order = rows.map((_, index) => index).sort((left, right) => {
        const [a, b] = [rows[left][place], rows[right][place]];
        if (a === null || b === null) return (a === null) - (b === null) || left - right;
        return (down ? -compare(a, b) : compare(a, b)) || left - right;
      });
      headings.forEach((cell, index) => {
        if (index === place) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        else cell.removeAttribute("aria-sort");
      });
    }

    function show() {
      body.replaceChildren();
      for (const index of order.slice(page * ROWS, (page + 1) * ROWS)) {
        const row = element("tr", undefined, body);
        rows[index].forEach((value, place) => {
          const cell = element("td", shown(value, columns[place][1]), row);
          cell.className = words(columns[place][1]);
        });
      }
      const last = Math.min(rows.length, (page + 1) * ROWS);
      where.textContent = `${(page * ROWS + 1).toLocaleString("en-US")}–${last.toLocaleString("en-US")} of ${rows.length.toLocaleString("en-US")}`;
      back.disabled = page === 0;
      on.disabled = last === rows.length;
    }
    show();
  }

  document.querySelectorAll(".table").forEach(fill);
  drawFrom(0);
})();
