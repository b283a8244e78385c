// Sorting, filtering and choosing columns. Without this script every table is there, whole and in order.
"use strict";
(() => {
  const make = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const textOf = (cell) => cell.textContent.trim();

  // A number for sorting; NaN, which goes last, where there is none.
  const numberOf = (cell) => {
    if (cell.dataset.value !== undefined) return cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
    return parseFloat(textOf(cell).replace(/^<|,/g, "").replace("−", "-"));
  };

  const sortable = (table) => {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const original = [...body.rows];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
      head.append(button);
      const numeric = head.dataset.kind === "number";
      const first = head.dataset.first || (numeric ? "descending" : "ascending");
      const second = first === "ascending" ? "descending" : "ascending";
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const next = now === first ? second : now === second ? null : first;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next);
        body.append(...(next ? ordered(original, column, numeric, next) : original));
      });
    });
  };

  const ordered = (rows, column, numeric, direction) => {
    const sign = direction === "ascending" ? 1 : -1;
    const keyed = rows.map((row) => [numeric ? numberOf(row.cells[column]) : textOf(row.cells[column]), row]);
    const compare = ([a], [b]) => {
      if (!numeric) return sign * a.localeCompare(b);
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return sign * (a - b);
    };
    return keyed.sort(compare).map(([, row]) => row);
  };

  const filterable = (table, tools) => {
    const rows = [...table.tBodies[0].rows];
    const heads = [...table.tHead.rows[0].cells];
    const search = make("input", { type: "search", spellcheck: false });
    tools.append(make("label", {}, "Filter", search));
    const choices = heads.flatMap((head, column) => {
      if (!head.dataset.choice) return [];
      const values = [...new Set(rows.map((row) => row.cells[column].firstChild.textContent.trim()))];
      if (values.length < 2) return [];
      const select = make("select", {}, make("option", { value: "", textContent: "all" }));
      select.append(...values.map((value) => make("option", { value, textContent: value })));
      tools.append(make("label", {}, head.dataset.choice, select));
      return [{ column, select }];
    });
    const status = make("output", { className: "status" });
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        const chosen = choices.every(
          ({ column, select }) => !select.value || row.cells[column].firstChild.textContent.trim() === select.value,
        );
        row.hidden = !(chosen && words.every((word) => text.includes(word)));
        shown += !row.hidden;
      });
      status.textContent = `${shown} of ${rows.length} rows`;
    };
    search.addEventListener("input", apply);
    choices.forEach(({ select }) => select.addEventListener("change", apply));
    apply();
    return status;
  };

  const choosable = (table, tools) => {
    const list = make("div", { className: "choices" });
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (head.dataset.choice === "method") return; // a row without its name says nothing
      const box = make("input", { type: "checkbox", checked: !("off" in head.dataset) });
      const name = [...head.querySelector("button").childNodes].map(textOf).filter(Boolean).join(" ");
      const apply = () => {
        for (const row of table.rows) row.cells[column].hidden = !box.checked;
      };
      box.addEventListener("change", apply);
      apply();
      list.append(make("label", {}, box, name));
    });
    tools.append(make("details", { className: "columns" }, make("summary", {}, "Columns"), list));
  };

  document.querySelectorAll("[data-table]").forEach((board) => {
    const table = board.querySelector("table");
    const tools = board.querySelector(".tools");
    sortable(table);
    const status = "filter" in board.dataset ? filterable(table, tools) : null;
    if ("columns" in board.dataset) choosable(table, tools);
    if (status) tools.append(status);
    tools.hidden = !tools.childElementCount;
  });
})();
