// The page: its parts put together, and the keys.

const read = (id) => JSON.parse(document.querySelector(id).textContent);
const facts = read("#facts");

function start() {
  const rows = read("#data").map((values) =>
    Object.fromEntries(facts.fields.map((name, at) => [name, values[at]])));
  document.querySelector("#data").remove(); // its text is not needed twice
  globalThis.page = new Page(rows); // for whoever looks with the browser's tools
}

class Page {
  constructor(rows) {
    this.message = document.querySelector("#message");
    this.reviews = new Reviews(rows, (text) => this.tell(text));
    this.player = new Player(() => this.follow());
    this.detail = new Detail(document.querySelector("#detail"), this.player, this.reviews,
      (decision) => this.decide(decision));
    this.viewport = document.querySelector("#list");
    this.list = new VirtualList(this.viewport, document.querySelector("#rows"),
      () => this.makeRow(), (element, row, place) => this.fillRow(element, row, place));
    this.filters = new Filters(rows, this.reviews, (shown) => this.show(shown));
    this.autoplay = document.querySelector("#autoplay");
    this.advance = document.querySelector("#advance");
    this.selected = 0;
    this.undone = [];
    this.describe(rows);
    this.listen();
    this.restore();
  }

  async restore() {
    if (!facts.served) this.reviews.restore();
    else this.reviews.restore(await request("decisions").catch(() => []));
    this.filters.apply();
  }

  describe(rows) {
    const said = Object.entries(facts.statuses)
      .map(([status, count]) => `${count.toLocaleString("en")} ${NAMES[status] ?? status}`);
    const judged = Object.entries(facts.verdicts)
      .map(([verdict, count]) => `${count.toLocaleString("en")} ${verdict}`);
    if (judged.length) said.push(`checked: ${judged.join(", ")}`);
    const left = facts.rows - rows.length;
    if (left > 0) said.push(`the worst ${rows.length.toLocaleString("en")} are here`);
    document.querySelector("#summary").textContent = said.join(" · ");
    const save = document.querySelector("#save");
    save.hidden = facts.served;
    save.addEventListener("click", () => this.reviews.download());
    for (const name of ["clips", "figures"]) {
      document.querySelector(`#show-${name}`).addEventListener("click", () => this.turnTo(name));
    }
  }

  turnTo(name) {
    for (const each of ["clips", "figures"]) {
      document.querySelector(`#${each}`).hidden = each !== name;
      document.querySelector(`#show-${each}`).setAttribute("aria-pressed", String(each === name));
    }
    document.querySelector("#filters").hidden = name !== "clips";
    if (name === "figures") showFigures(document.querySelector("#figures"));
    else {
      this.list.render();
      this.viewport.focus({ preventScroll: true });
    }
  }

  tell(text) {
    this.message.textContent = text;
    this.message.hidden = !text;
    clearTimeout(this.timer);
    if (text) this.timer = setTimeout(() => this.tell(""), 12_000);
  }

  // -- rows -------------------------------------------------------------------------------------

  show(shown) {
    const before = this.row;
    this.shown = shown;
    this.selected = Math.max(0, before ? shown.indexOf(before) : 0);
    this.list.show(shown);
    document.querySelector("#shown").textContent = `${formatCount(shown.length, "row")}`;
    this.select(this.selected, { plays: false });
    this.count();
  }

  get row() {
    return this.shown?.[this.selected] ?? null;
  }

  select(place, { plays = this.autoplay.checked } = {}) {
    const isOther = this.detail.row !== (this.shown[place] ?? null);
    this.selected = Math.max(0, Math.min(place, this.shown.length - 1));
    if (isOther) this.player.stop();
    this.list.reveal(this.selected);
    this.list.render();
    this.detail.show(this.row);
    clearTimeout(this.playing);
    if (plays && isOther && this.row) this.playing = setTimeout(() => this.player.play(this.row), 150);
  }

  count() {
    const all = this.filters.chosen.length;
    const done = this.filters.chosen.filter((row) => this.reviews.of(row).decision).length;
    document.querySelector("#reviewed").textContent =
      `${done.toLocaleString("en")} of ${all.toLocaleString("en")} reviewed`;
    Object.assign(document.querySelector("#reviewed-bar"), { max: all || 1, value: done });
    document.querySelector("#save").classList.toggle("unsaved", !this.reviews.isSaved);
  }

  makeRow() {
    const element = make("div", { className: "row" });
    element.setAttribute("role", "option");
    element.play = make("button", { type: "button", className: "play", tabIndex: -1 });
    element.wave = make("canvas", { className: "wave" });
    element.text = make("p", { className: "line", dir: "auto" });
    element.about = make("p", { className: "about" });
    element.badges = make("p", { className: "badges" });
    element.append(element.play, element.wave,
      make("div", { className: "words" }, element.text, element.about), element.badges);
    element.addEventListener("click", (event) => {
      this.viewport.focus({ preventScroll: true });
      const isButton = event.target === element.play;
      this.select(element.place, { plays: isButton ? false : this.autoplay.checked });
      if (isButton) this.player.toggle(this.row);
    });
    return element;
  }

  fillRow(element, row, place) {
    const { decision } = this.reviews.of(row);
    if (element.row !== row) {
      element.row = row;
      const texts = row.kind === "stt" ? [row.heard, row.text] : [row.text, row.heard];
      const text = texts.map((pieces) => pieces.join("")).find(Boolean) ?? row.reasons[0] ?? "";
      element.text.textContent = showTurns(text.slice(0, 300));
      const about = [row.id, row.voice, row.clip && formatSeconds(row.seconds),
        row.cer !== null && `CER ${formatShare(row.cer)}`, row.wer !== null && row.kind === "stt" && `WER ${formatShare(row.wer)}`];
      element.about.replaceChildren(...about.filter(Boolean).map((text) => isolate(text)));
      element.play.hidden = element.wave.hidden = !row.clip;
      element.drawn = null;
      element.decision = null;
    }
    if (element.decision !== decision) {
      element.decision = decision;
      element.badges.replaceChildren(...makeBadges(row, decision));
      element.dataset.decision = decision;
    }
    element.place = place;
    element.setAttribute("aria-selected", String(place === this.selected));
    this.followRow(element);
  }

  followRow(element) {
    const heard = this.player.progress(element.row);
    const isPlaying = this.player.isPlaying(element.row);
    const drawn = `${heard} ${isPlaying}`;
    if (element.drawn === drawn || element.hidden) return;
    element.drawn = drawn;
    element.play.textContent = isPlaying ? "❚❚" : "▶";
    element.play.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    drawWave(element.wave, element.row.wave, heard);
  }

  follow() {
    this.detail.follow();
    for (const element of this.list.pool) if (element.row) this.followRow(element);
  }

  // -- decisions --------------------------------------------------------------------------------

  decide(decision, { row = this.row, isUndo = false } = {}) {
    if (!row || (!row.sha256 && ["accept", "reject"].includes(decision))) return;
    const before = this.reviews.of(row).decision;
    if (!isUndo) this.undone.push([row, before]);
    const isTaken = before === decision && !isUndo; // the same once more takes it back
    this.reviews.decide(row, isTaken ? "" : decision);
    this.list.render();
    this.detail.refresh();
    this.count();
    if (this.advance.checked && decision && !isTaken && !isUndo && row === this.row) {
      this.select(this.selected + 1);
    }
  }

  undo() {
    const last = this.undone.pop();
    if (!last) return;
    const [row, decision] = last;
    const place = this.shown.indexOf(row);
    if (place >= 0) this.select(place, { plays: false });
    this.decide(decision, { row, isUndo: true });
  }

  // -- keys -------------------------------------------------------------------------------------

  listen() {
    const keys = {
      " ": () => this.row && this.player.toggle(this.row),
      j: () => this.select(this.selected + 1),
      k: () => this.select(this.selected - 1),
      ArrowDown: () => this.select(this.selected + 1),
      ArrowUp: () => this.select(this.selected - 1),
      PageDown: () => this.select(this.selected + 10),
      PageUp: () => this.select(this.selected - 10),
      Home: () => this.select(0),
      End: () => this.select(this.shown.length - 1),
      ArrowRight: () => this.player.skip(2),
      ArrowLeft: () => this.player.skip(-2),
      a: () => this.decide("accept"),
      r: () => this.decide("reject"),
      d: () => this.decide("drop"),
      u: () => this.undo(),
      n: () => this.detail.note.focus(),
      "/": () => this.filters.search.focus(),
    };
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const isTyping = event.target.matches("textarea, input:not([type=checkbox]), select");
      if (event.key === "Escape") this.viewport.focus();
      if (isTyping || document.querySelector("#clips").hidden) return;
      if (event.key === " " && event.target.matches("button, input")) return;
      const act = keys[keyOf(event)];
      if (!act) return;
      event.preventDefault();
      act();
    });
    this.detail.panel.addEventListener("click", (event) => {
      if (event.target.matches("button, canvas")) this.viewport.focus({ preventScroll: true });
    });
    this.detail.note.addEventListener("input", () => this.count());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const element of this.list.pool) element.drawn = null;
      this.list.render();
      this.detail.follow();
    });
    this.viewport.focus({ preventScroll: true });
  }
}

/** Name a key as it is called on a Latin keyboard, also where another layout is on. */
function keyOf(event) {
  if (event.key.length > 1 || /[a-z /]/iu.test(event.key)) return event.key.length > 1 ? event.key : event.key.toLowerCase();
  if (event.code === "Slash") return "/";
  return event.code.startsWith("Key") ? event.code.slice(3).toLowerCase() : event.key;
}

start();
