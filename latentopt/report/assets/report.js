// Curves, sortable tables and the image slider of a latentopt report. Without it the page shows its
// tables, and the images one below the other.
"use strict";

// -- small helpers -------------------------------------------------------------------------------

/** A new HTML element with properties and children; texts are never read as HTML. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A new SVG element with attributes and children. */
function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A labelled choice of `options`, pairs of value and text. */
function chooser(label, options, onchange) {
  const select = make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
  select.addEventListener("change", () => onchange(select.value));
  return [make("label", {}, make("span", {}, label), select), select];
}

/** A titled group of radio buttons; the first is chosen. */
function radios(title, name, options, onchange) {
  const buttons = options.map(([value, text], i) => {
    const input = make("input", { type: "radio", name, value, checked: i === 0 });
    input.addEventListener("change", () => onchange(value));
    return make("label", {}, input, text);
  });
  return make("fieldset", {}, make("legend", {}, title), ...buttons);
}

const minus = (text) => text.replace("-", "−");

// -- curves --------------------------------------------------------------------------------------

const QUANTITIES = {
  bpp: { axis: "bits per pixel", text: (v) => `${v.toFixed(4)} bpp` },
  psnr_db: { axis: "PSNR in dB", text: (v) => `${v.toFixed(2)} dB` },
  ms_ssim_db: { axis: "MS-SSIM in dB", text: (v) => `${v.toFixed(2)} dB MS-SSIM` },
  rate_percent: {
    axis: "rate against the baseline’s at equal PSNR, in %",
    text: (v) => minus(`${v > 0 ? "+" : ""}${v.toFixed(2)} % rate at equal PSNR`),
  },
};
const VIEWS = {
  psnr: { x: "bpp", y: "psnr_db", title: "PSNR" },
  msssim: { x: "bpp", y: "ms_ssim_db", title: "MS-SSIM" },
  rate: { x: "psnr_db", y: "rate_percent", title: "rate saved" },
};
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "12 4"];
const OTHERS = ["4 4", "1 3", "10 4 1 4", "6 2 1 2 1 2", "14 6"];
const COLOURS = 6;
const MARKS = {
  circle: (x, y) => draw("circle", { cx: x, cy: y, r: 4, class: "mark" }),
  square: (x, y) => draw("rect", { x: x - 4, y: y - 4, width: 8, height: 8, class: "mark" }),
  triangle: (x, y) => draw("path", { d: `M${x} ${y - 5}l5 9h-10z`, class: "mark" }),
  diamond: (x, y) => draw("path", { d: `M${x} ${y - 6}l5 6l-5 6l-5 -6z`, class: "mark" }),
};

/** How a configuration is drawn: never told apart by its colour alone. */
function styleOf(series, number) {
  if (series.baseline) return { name: "base", dash: "", mark: MARKS.circle };
  const marks = Object.values(MARKS);
  return {
    name: `k${number % COLOURS}`,
    dash: DASHES[number % DASHES.length],
    mark: marks[(number + 1) % marks.length],
  };
}

/** Round values from `low` to `high`, three to seven of them. */
function linearTicks(low, high) {
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= 0.7 * raw);
  const count = Math.floor(high / step + 1e-9) - Math.ceil(low / step - 1e-9) + 1;
  const first = Math.ceil(low / step - 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: count }, (_, i) => (first + i) * step)
    .map((value) => ({ value, label: minus(value.toFixed(digits)) }));
}

/** Ticks of a logarithmic axis; those of which there is room for a label have one. */
function logTicks(low, high) {
  const ticks = [];
  for (let k = Math.floor(Math.log10(low)); k <= Math.log10(high); k++) {
    for (let m = 1; m < 10; m++) {
      const value = Number(`${m}e${k}`);
      const label = [1, 2, 3, 5, 7].includes(m) ? String(value) : "";
      if (value >= low && value <= high) ticks.push({ value, label });
    }
  }
  return ticks;
}

/** The map of an axis from values to pixels, over all `values` with a margin. */
function axisOf(values, from, to, log) {
  const warp = log ? Math.log10 : (v) => v;
  let low = warp(Math.min(...values));
  let high = warp(Math.max(...values));
  const margin = 0.05 * (high - low) || 0.05 * Math.abs(high) || 1;
  low -= margin;
  high += margin;
  const place = (v) => from + ((warp(v) - low) / (high - low)) * (to - from);
  const ticks = log ? logTicks(10 ** low, 10 ** high) : linearTicks(low, high);
  return { place, ticks };
}

class Chart {
  constructor(box, curves) {
    this.curves = curves;
    this.curve = curves[0];
    this.view = VIEWS.psnr;
    this.log = false;
    this.hidden = new Set();
    this.focused = null; // "series/point" that the Tab key reaches
    this.tip = make("div", { className: "tip", hidden: true });
    this.tip.setAttribute("aria-hidden", "true"); // points say the same by their labels
    this.plot = make("div", { className: "plot" }, this.tip);
    this.toggles = make("fieldset", { id: "toggles" });
    box.append(this.controls(), this.toggles, this.plot);
    box.hidden = false;
    this.choose(0);
    new ResizeObserver(() => this.render()).observe(this.plot);
    this.plot.addEventListener("keydown", (event) => this.move(event));
  }

  controls() {
    const all = this.curves.flatMap((c) => c.series).flatMap((s) => s.points);
    const views = Object.entries(VIEWS)
      .filter(([, view]) => all.some((p) => p[view.y] !== null))
      .map(([key, view]) => [key, view.title]);
    const vertical = radios("Vertical", "view", views, (key) => this.set({ view: VIEWS[key] }));
    const kinds = [["linear", "linear"], ["log", "logarithmic"]];
    const rate = radios("Rate axis", "log", kinds, (kind) => this.set({ log: kind === "log" }));
    const controls = make("div", { className: "controls" }, vertical, rate);
    this.rateAxis = rate;
    if (this.curves.length > 1) {
      const labels = this.curves.map((curve, i) => [i, curve.label]);
      controls.prepend(chooser("Curve", labels, (i) => this.choose(Number(i)))[0]);
    }
    return controls;
  }

  set(changes) {
    Object.assign(this, changes);
    this.render();
  }

  choose(index) {
    this.curve = this.curves[index];
    let number = 0;
    this.series = this.curve.series.map((series) => ({
      ...series,
      style: styleOf(series, series.baseline ? 0 : number++),
    }));
    const { published, imported } = this.curve;
    [published, ...imported].filter(Boolean).forEach(({ label, points }, i) => {
      const dash = OTHERS[i % OTHERS.length];
      const style = { name: "published", dash, mark: MARKS.diamond };
      this.series.push({ config: label, points, style, published: true });
    });
    this.drawToggles();
    this.render();
  }

  drawToggles() {
    const labels = this.series.map((series) => {
      const input = make("input", { type: "checkbox", value: series.config });
      input.checked = !this.hidden.has(series.config);
      input.addEventListener("change", () => {
        this.hidden[input.checked ? "delete" : "add"](series.config);
        this.render();
      });
      return make("label", {}, input, this.swatch(series.style), series.config);
    });
    this.toggles.replaceChildren(make("legend", {}, "Shown"), ...labels);
  }

  swatch(style) {
    const line = draw("path", { d: "M0 6H34", class: "line", "stroke-dasharray": style.dash });
    const svg = draw("svg", { class: `swatch ${style.name}`, viewBox: "0 0 34 12" });
    svg.setAttribute("aria-hidden", "true");
    svg.append(line, style.mark(17, 6));
    return svg;
  }

  /** Points of a series that this view has a place for. */
  points({ points }) {
    return points.filter((p) => p[this.view.x] !== null && p[this.view.y] !== null);
  }

  render() {
    const width = this.plot.clientWidth;
    if (!width) return;
    const height = Math.round(Math.min(460, Math.max(280, 0.55 * width)));
    const frame = { left: 60, right: width - 12, top: 12, bottom: height - 44 };
    const old = this.plot.querySelector("svg");
    const held = old && old.contains(document.activeElement);
    const label = `${this.curve.label}: ${QUANTITIES[this.view.y].axis} against ${QUANTITIES[this.view.x].axis}`;
    const svg = draw("svg", { height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label });
    this.rateAxis.hidden = this.view.x !== "bpp";
    this.place(frame);
    svg.append(...this.drawAxes(frame, width, height), this.drawClip(frame));
    this.shown = this.series.filter((s) => !this.hidden.has(s.config) && this.points(s).length);
    for (const series of this.shown) svg.append(this.drawSeries(series));
    if (old) old.remove();
    this.plot.prepend(svg);
    this.tip.hidden = true;
    this.keepFocus(held);
  }

  /** Axes over all that was measured, so that they hold still when a curve is switched off. */
  place(frame) {
    const all = this.series.filter((s) => !s.published).flatMap((s) => this.points(s));
    const values = (key) => (all.length ? all.map((p) => p[key]) : [0.1, 1]);
    const log = this.log && this.view.x === "bpp";
    this.x = axisOf(values(this.view.x), frame.left, frame.right, log);
    this.y = axisOf(values(this.view.y), frame.bottom, frame.top, false);
  }

  drawAxes({ left, right, top, bottom }, width, height) {
    const marks = [];
    for (const { value, label } of this.x.ticks) {
      const x = this.x.place(value);
      marks.push(draw("path", { d: `M${x} ${top}V${bottom}`, class: "grid" }));
      marks.push(draw("text", { x, y: bottom + 16, "text-anchor": "middle" }, label));
    }
    for (const { value, label } of this.y.ticks) {
      const y = this.y.place(value);
      const name = this.view.y === "rate_percent" && value === 0 ? "zero" : "grid";
      marks.push(draw("path", { d: `M${left} ${y}H${right}`, class: name }));
      marks.push(draw("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, label));
    }
    const middle = (left + right) / 2;
    const turned = `translate(12 ${(top + bottom) / 2}) rotate(-90)`;
    const axis = { class: "axis", "text-anchor": "middle" };
    marks.push(draw("text", { ...axis, x: middle, y: height - 8 }, QUANTITIES[this.view.x].axis));
    marks.push(draw("text", { ...axis, transform: turned }, QUANTITIES[this.view.y].axis));
    return marks;
  }

  /** Curves of others reach beyond what was measured. */
  drawClip({ left, right, top, bottom }) {
    const inside = draw("rect", { x: left, y: top, width: right - left, height: bottom - top });
    return draw("clipPath", { id: "inside" }, inside);
  }

  drawSeries(series) {
    const points = this.points(series);
    const places = points.map((p) => [this.x.place(p[this.view.x]), this.y.place(p[this.view.y])]);
    const line = draw("polyline", {
      class: "line", points: places.map((p) => p.join()).join(" "),
      "stroke-dasharray": series.style.dash, "clip-path": "url(#inside)",
    });
    const group = draw("g", { class: `series ${series.style.name}` }, line);
    group.dataset.config = series.config;
    if (series.published) return group; // its points lie beyond the axes, too
    points.forEach((point, i) => group.append(this.drawPoint(series, point, places[i])));
    return group;
  }

  drawPoint(series, point, [x, y]) {
    const text = this.describe(series, point);
    const hit = draw("circle", { cx: x, cy: y, r: 11, class: "hit" });
    const attributes = { class: "point", role: "img", tabindex: -1, "aria-label": text };
    const element = draw("g", attributes, hit, series.style.mark(x, y));
    element.dataset.key = `${series.config}/${point.name}`;
    const show = () => this.showTip(text, x, y);
    const hide = () => { this.tip.hidden = true; };
    element.addEventListener("pointerenter", show);
    element.addEventListener("pointerleave", hide);
    element.addEventListener("blur", hide);
    element.addEventListener("focus", () => {
      this.setStop(element);
      show();
    });
    return element;
  }

  describe(series, point) {
    const keys = ["bpp", "psnr_db", "ms_ssim_db", ...(series.baseline ? [] : ["rate_percent"])];
    const values = keys.filter((k) => point[k] !== null).map((k) => QUANTITIES[k].text(point[k]));
    return `${series.config}, ${point.name}: ${values.join(", ")}`;
  }

  showTip(text, x, y) {
    this.tip.textContent = text;
    this.tip.hidden = false;
    const room = this.plot.clientWidth - this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, Math.min(room, x + 12))}px`;
    const above = y - this.tip.offsetHeight - 12;
    this.tip.style.top = `${above > 0 ? above : y + 16}px`;
  }

  // One point is a stop of the Tab key, and arrow keys go from it to the others.

  setStop(element) {
    for (const point of this.plot.querySelectorAll(".point")) point.tabIndex = -1;
    element.tabIndex = 0;
    this.focused = element.dataset.key;
  }

  keepFocus(held) {
    const points = [...this.plot.querySelectorAll(".point")];
    const stop = points.find((p) => p.dataset.key === this.focused) || points[0];
    if (!stop) return;
    this.setStop(stop);
    if (held) stop.focus();
  }

  move(event) {
    const groups = [...this.plot.querySelectorAll(".series")]
      .map((g) => [...g.querySelectorAll(".point")])
      .filter((points) => points.length);
    const row = groups.findIndex((points) => points.includes(document.activeElement));
    if (row < 0) return;
    const column = groups[row].indexOf(document.activeElement);
    if (event.key === "Escape") {
      this.tip.hidden = true;
      return;
    }
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const [down, right] = steps[event.key];
    const target = groups[(row + down + groups.length) % groups.length];
    const at = Math.min(Math.max(column + right, 0), target.length - 1);
    target[at].focus();
  }
}

// -- tables --------------------------------------------------------------------------------------

const numberOf = (text) => Number.parseFloat(text.replace("−", "-"));

/** Compare two cells' texts: numbers by value, what is missing last. */
function compareCells(a, b, numeric, sign) {
  if (!numeric) return sign * a.localeCompare(b, undefined, { numeric: true });
  const [x, y] = [numberOf(a), numberOf(b)];
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
  return sign * (x - y);
}

function sortBy(table, heading) {
  const descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentNode.children) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const [column, numeric] = [heading.cellIndex, heading.classList.contains("number")];
  const text = (row) => row.cells[column].textContent;
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => compareCells(text(a), text(b), numeric, descending ? -1 : 1));
  table.tBodies[0].append(...rows);
}

function makeSortable(table) {
  for (const heading of table.tHead.rows[0].cells) {
    const button = make("button", { type: "button" }, heading.textContent);
    button.addEventListener("click", () => sortBy(table, heading));
    heading.replaceChildren(button);
  }
}

/** A choice above the table for each of its columns that is made for it. */
function makeFilters(table) {
  const rows = [...table.tBodies[0].rows];
  const wanted = new Map();
  const filter = (column, value) => {
    wanted.set(column, value);
    for (const row of rows) {
      row.hidden = [...wanted].some(([i, v]) => v !== "" && row.cells[i].textContent !== v);
    }
  };
  const choices = [...table.tHead.querySelectorAll(".choose")].flatMap((heading) => {
    const column = heading.cellIndex;
    const values = [...new Set(rows.map((row) => row.cells[column].textContent))];
    if (values.length < 2) return [];
    const options = [["", "all"], ...values.map((value) => [value, value])];
    return [chooser(heading.textContent, options, (value) => filter(column, value))[0]];
  });
  const scroll = table.parentNode;
  if (choices.length) scroll.before(make("div", { className: "controls" }, ...choices));
}

// -- slider --------------------------------------------------------------------------------------

const SIZES = [["fit", "fitted"], ["1", "100 %"], ["2", "200 %"], ["4", "400 %"]];

/** Two of the page's images over each other; a range input says how much of the left one shows. */
function makeSlider(box, source) {
  const figures = new Map([...source.querySelectorAll("figure")].map((f) => [f.dataset.view, f]));
  const options = [...figures].map(([key, figure]) => [key, figure.querySelector("img").alt]);
  const left = make("img", { className: "left" });
  const right = make("img");
  const edge = make("div", { className: "edge" });
  const stage = make("div", { className: "stage" }, right, left, edge);
  const frame = make("div", { className: "frame", tabIndex: 0 }, stage);
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", "Images");
  const captions = make("div", { className: "captions" }, make("div"), make("div"));
  const range = make("input", { type: "range", id: "split", min: 0, max: 100, value: 50 });

  const show = (image, caption, key) => {
    const figure = figures.get(key);
    const shown = figure.querySelector("img");
    Object.assign(image, { src: shown.src, alt: shown.alt, width: shown.width, height: shown.height });
    const parts = figure.querySelector("figcaption").cloneNode(true).childNodes;
    caption.replaceChildren(...parts);
  };
  const split = () => {
    left.style.clipPath = `inset(0 ${100 - range.value}% 0 0)`;
    edge.style.left = `${range.value}%`;
    range.setAttribute("aria-valuetext", `${range.value} % of the left image`);
  };
  const resize = (size) => {
    const whole = size === "fit";
    stage.style.width = whole ? "" : `${Number(size) * right.naturalWidth}px`;
    stage.classList.toggle("large", !whole && size !== "1");
  };
  const follow = (event) => {
    if (event.type !== "pointerdown" && !event.buttons) return;
    const { left: start, width } = stage.getBoundingClientRect();
    range.value = Math.round((100 * (event.clientX - start)) / width);
    split();
  };

  const [before, beforeSelect] = chooser("Left", options, (key) => show(left, captions.firstChild, key));
  const [after, afterSelect] = chooser("Right", options, (key) => show(right, captions.lastChild, key));
  const [size] = chooser("Size", SIZES, resize);
  const label = make("label", { htmlFor: "split" }, "How much of the left image shows");
  beforeSelect.value = "baseline";
  afterSelect.value = "ours";
  show(left, captions.firstChild, "baseline");
  show(right, captions.lastChild, "ours");
  range.addEventListener("input", split);
  stage.addEventListener("pointerdown", follow);
  stage.addEventListener("pointermove", follow);
  stage.addEventListener("dragstart", (event) => event.preventDefault());
  box.append(make("div", { className: "controls" }, before, after, size), frame, label, range, captions);
  split();
  box.hidden = false;
  source.hidden = true;
}

// -- the page ------------------------------------------------------------------------------------

if (document.getElementById("chart")) {
  const curves = JSON.parse(document.getElementById("data").textContent);
  new Chart(document.getElementById("chart"), curves);
}
for (const table of document.querySelectorAll("table.sortable")) {
  makeFilters(table); // first: it reads the headings that sorting makes buttons of
  makeSortable(table);
}
if (document.getElementById("slider")) {
  makeSlider(document.getElementById("slider"), document.getElementById("views"));
}
