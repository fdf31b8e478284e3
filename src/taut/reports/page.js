"use strict";
// What users wrote goes through textContent and Plotly's escaped labels, never into HTML.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const keep = (name, value) => { try { sessionStorage.setItem(location.pathname + name, value); } catch { /* none here */ } };
  const kept = (name) => { try { return sessionStorage.getItem(location.pathname + name); } catch { return null; } };

  // ---------------------------------------------------------------- figures: drawn when they come near

  let plotly = null;
  const unpacked = async (bytes) => { // read piece by piece: Response.text() takes many times as long
    const stream = new DecompressionStream("gzip"), writer = stream.writable.getWriter();
    writer.write(bytes);
    writer.close();
    const reader = stream.readable.getReader(), decoder = new TextDecoder();
    for (let text = ""; ;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      text += decoder.decode(value, { stream: true });
    }
  };
  const loaded = () => plotly ??= (async () => {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const script = document.createElement("script");
    script.textContent = await unpacked(packed);
    document.head.append(script);
    return window.Plotly;
  })();

  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: of("--grid"), linecolor: of("--line"), zerolinecolor: of("--line"), automargin: true };
    return {
      paper_bgcolor: of("--paper"), plot_bgcolor: of("--paper"),
      font: { color: of("--ink"), family: "system-ui, sans-serif", size: 12 }, axis,
    };
  };
  const themed = (layout) => {
    const { axis, ...rest } = colours();
    const found = { ...layout, ...rest };
    for (const name of Object.keys(layout)) if (/^[xy]axis\d*$/.test(name)) found[name] = { ...axis, ...layout[name] };
    delete found.updatemenus; // there are buttons above the figure, which a keyboard reaches
    return found;
  };
  const figures = read("figures");
  const draw = async (place) => {
    const { data, layout } = figures[place.dataset.figure];
    try {
      const library = await loaded();
      await library.newPlot(place, data, themed(layout), { responsive: true, displaylogo: false });
      place.dataset.drawn = "yes";
      for (const button of document.querySelectorAll(`[data-for="${place.dataset.figure}"]`)) button.disabled = false;
    } catch (error) {
      place.textContent = `This browser cannot draw the figure (${error}). A current Firefox, Chrome or Safari can.`;
    }
  };
  for (const button of document.querySelectorAll("[data-for]")) button.addEventListener("click", () => {
    const place = document.querySelector(`.plot[data-figure="${button.dataset.for}"]`);
    const [menu] = figures[button.dataset.for].layout.updatemenus;
    window.Plotly.update(place, ...menu.buttons[button.dataset.choice].args);
    for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
  });
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
  }, { rootMargin: "500px" });
  const places = [...document.querySelectorAll(".plot")];
  for (const place of places) near.observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const place of places) if (place.dataset.drawn) window.Plotly.react(place, figures[place.dataset.figure].data, themed(figures[place.dataset.figure].layout));
  });

  // ---------------------------------------------------------------- the table of trials

  const { columns, best } = read("table");
  const size = columns.length ? columns[0].cells.length : 0;
  const box = document.getElementById("trials"), search = document.getElementById("search");
  const counted = document.getElementById("counted");
  if (!box) return;
  const HEIGHT = 28, SPARE = 12;
  const text = (column, row) => {
    const cell = column.cells[row];
    return cell === null ? "" : column.texts ? column.texts[cell] : String(cell);
  };
  let rows = Array.from({ length: size }, (_, i) => i), sorted = null, falling = false;

  const table = document.createElement("table");
  table.setAttribute("aria-rowcount", String(size + 1));
  table.setAttribute("aria-label", "all trials");
  const head = table.createTHead().insertRow(), body = table.createTBody();
  const ruler = document.createElement("canvas").getContext("2d");
  ruler.font = "600 16px system-ui, sans-serif";
  const buttons = columns.map((column) => {
    const cell = document.createElement("th"), button = document.createElement("button");
    cell.scope = "col";
    let longest = column.name + " \u25bc";
    for (const each of column.texts ?? column.cells.slice(0, 400).map(String)) if (each.length > longest.length) longest = each;
    cell.style.width = Math.min(Math.ceil(ruler.measureText(longest).width) + 26, 420) + "px";
    if (!column.texts) cell.classList.add("number");
    button.type = "button";
    button.textContent = button.title = column.name;
    button.addEventListener("click", () => sort(column));
    cell.append(button);
    head.append(cell);
    return { column, cell, button };
  });
  table.style.width = buttons.reduce((sum, { cell }) => sum + parseFloat(cell.style.width), 0) + "px";
  box.append(table);

  const show = () => {
    const first = Math.max(0, Math.floor(box.scrollTop / HEIGHT) - SPARE);
    const last = Math.min(rows.length, first + Math.ceil(box.clientHeight / HEIGHT) + 2 * SPARE);
    const made = document.createDocumentFragment();
    const pad = (count) => {
      const row = document.createElement("tr"), cell = document.createElement("td");
      row.className = "pad";
      row.setAttribute("aria-hidden", "true");
      cell.colSpan = columns.length;
      cell.style.height = count * HEIGHT + "px";
      row.append(cell);
      return row;
    };
    if (first) made.append(pad(first));
    for (let i = first; i < last; i++) {
      const row = document.createElement("tr");
      row.setAttribute("aria-rowindex", String(i + 2));
      if (best.includes(columns[0].cells[rows[i]])) row.className = "best";
      for (const column of columns) {
        const cell = row.insertCell();
        cell.textContent = text(column, rows[i]);
        if (column.texts) cell.title = cell.textContent; else cell.className = "number";
      }
      made.append(row);
    }
    if (last < rows.length) made.append(pad(rows.length - last));
    body.replaceChildren(made);
  };

  const arrange = () => {
    if (sorted) {
      const { cells, texts } = sorted, sign = falling ? -1 : 1;
      const order = texts && texts.map((_, i) => i).sort((a, b) => texts[a].localeCompare(texts[b]));
      const rank = texts && order.reduce((ranks, place, i) => { ranks[place] = i; return ranks; }, []);
      const of = (row) => { const cell = cells[row]; return cell === null ? null : texts ? rank[cell] : cell; };
      rows.sort((a, b) => {
        const x = of(a), y = of(b);
        if (x === null || y === null) return (x === null) - (y === null) || a - b; // what is not there comes last
        return sign * (x - y) || a - b;
      });
    }
    counted.textContent = rows.length === size ? `${size} trials` : `${rows.length} of ${size} trials`;
    table.setAttribute("aria-rowcount", String(rows.length + 1));
    show();
  };
  const sort = (column) => {
    falling = sorted === column && !falling;
    sorted = column;
    for (const each of buttons) {
      const mine = each.column === column;
      each.cell.setAttribute("aria-sort", mine ? (falling ? "descending" : "ascending") : "none");
      each.button.textContent = each.column.name + (mine ? (falling ? " \u25bc" : " \u25b2") : "");
    }
    arrange();
  };

  // A word is a part of any cell, or a condition on a column: loss<0.3, optim=adam.
  const condition = (word) => {
    const found = /^(.+?)(<=|>=|=|<|>)(.+)$/.exec(word);
    const column = found && columns.find((each) => each.name.toLowerCase() === found[1]);
    if (!column) return null;
    const value = Number(found[3]), numeric = !column.texts && !Number.isNaN(value);
    const compare = { "<": (a) => a < value, ">": (a) => a > value, "<=": (a) => a <= value, ">=": (a) => a >= value, "=": (a) => a === value };
    if (numeric) return (row) => column.cells[row] !== null && compare[found[2]](column.cells[row]);
    return (row) => text(column, row).toLowerCase() === found[3];
  };
  let whole = null;
  const find = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const tests = words.map((word) => {
      const test = condition(word);
      if (test) return test;
      whole ??= Array.from({ length: size }, (_, row) => columns.map((column) => text(column, row)).join("\n").toLowerCase());
      return (row) => whole[row].includes(word);
    });
    rows = [];
    for (let row = 0; row < size; row++) if (tests.every((test) => test(row))) rows.push(row);
    box.scrollTop = 0;
    keep("search", search.value);
    arrange();
  };
  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(find, size > 2000 ? 150 : 0); });
  box.addEventListener("scroll", () => requestAnimationFrame(show), { passive: true });
  addEventListener("resize", show);
  search.value = kept("search") ?? "";
  search.value ? find() : arrange();

  // A page that reloads itself stays where it was.
  addEventListener("pagehide", () => keep("scroll", String(scrollY)));
  if (document.querySelector("meta[http-equiv=refresh]") && kept("scroll")) scrollTo(0, Number(kept("scroll")));
})();
