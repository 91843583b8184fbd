// Filters: which rows are shown, and in which order.

const NAMES = { "": "(none)", not_run: "not run" };
const ORDERS = {
  "worst first": (one, other) => other.rank - one.rank || one.position - other.position,
  "as in the manifest": (one, other) => one.position - other.position,
  "longest first": (one, other) => other.seconds - one.seconds,
  "shortest first": (one, other) => one.seconds - other.seconds,
  "fastest first": (one, other) => (other.rate ?? 0) - (one.rate ?? 0),
  "slowest first": (one, other) => (one.rate ?? Infinity) - (other.rate ?? Infinity),
};
const INDEXED_AT_ONCE = 500;

class Filters {
  /**
   * @param rows      All rows of the page.
   * @param reviews   What is decided about them.
   * @param onChange  Called when others are to be shown.
   */
  constructor(rows, reviews, onChange) {
    Object.assign(this, { rows, reviews, onChange });
    this.sorted = {};
    this.fields = {
      status: (row) => [row.status],
      verdict: (row) => [row.verdict],
      voice: (row) => [row.voice],
      class: (row) => row.classes,
    };
    this.search = document.querySelector("#search");
    this.review = document.querySelector("#review");
    this.order = document.querySelector("#order");
    for (const [name, valuesOf] of Object.entries(this.fields)) {
      this.offer(document.querySelector(`#${name}`), rows, valuesOf);
    }
    this.fill(this.review, ["all", "open", "accepted", "rejected", "dropped", "with a note"]);
    this.fill(this.order, Object.keys(ORDERS));
    const form = document.querySelector("#filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => this.apply());
    document.querySelector("#clear").addEventListener("click", () => {
      form.reset();
      this.apply();
    });
    this.index();
  }

  fill(select, names) {
    select.replaceChildren(...names.map((name) => make("option", { text: name, value: name })));
  }

  /** Offer the values that there are, the most frequent first, each with how many rows have it. */
  offer(select, rows, valuesOf) {
    const counts = new Map();
    for (const value of rows.flatMap(valuesOf)) counts.set(value, (counts.get(value) ?? 0) + 1);
    const values = [...counts].sort(([, one], [, other]) => other - one);
    select.replaceChildren(
      make("option", { text: "all", value: "all" }),
      ...values.map(([value, count]) =>
        make("option", { text: `${NAMES[value] ?? value} (${count.toLocaleString("en")})`, value: `=${value}` })),
    );
    select.closest("label").hidden = values.length < 2;
  }

  /** Prepare the search while there is nothing else to do. */
  index(from = 0) {
    const until = Math.min(this.rows.length, from + INDEXED_AT_ONCE);
    for (let at = from; at < until; at += 1) this.indexed(this.rows[at]);
    if (until < this.rows.length) setTimeout(() => this.index(until), 5);
  }

  indexed(row) {
    row.folded ??= fold(`${row.id}\n${row.text.join("")}\n${row.heard.join("")}`);
    return row.folded;
  }

  /** Make what tells whether a row is chosen: what the page says is read once, not for each row. */
  makeChoice() {
    const words = fold(this.search.value).split(/\s+/u).filter(Boolean);
    const wanted = Object.entries(this.fields)
      .map(([name, valuesOf]) => [document.querySelector(`#${name}`).value, valuesOf])
      .filter(([value]) => value !== "all");
    return (row) => {
      if (!wanted.every(([value, valuesOf]) => valuesOf(row).includes(value.slice(1)))) return false;
      if (!words.length) return true;
      const { note } = this.reviews.of(row);
      const text = note ? `${this.indexed(row)}\n${fold(note)}` : this.indexed(row);
      return words.every((word) => text.includes(word));
    };
  }

  isInReview(row) {
    const { decision, note } = this.reviews.of(row);
    switch (this.review.value) {
      case "all": return true;
      case "open": return !decision;
      case "with a note": return Boolean(note);
      default: return DECISIONS[decision] === this.review.value;
    }
  }

  /** Give all rows in the order that is asked for; sorted once for each. */
  inOrder() {
    const name = this.order.value;
    this.sorted[name] ??= [...this.rows].sort(ORDERS[name]);
    return this.sorted[name];
  }

  apply() {
    this.chosen = this.inOrder().filter(this.makeChoice());
    this.onChange(this.chosen.filter((row) => this.isInReview(row)));
  }
}
