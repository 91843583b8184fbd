// The clip that is looked at: its texts beside each other, its wave form, what is known, what to do.

class Detail {
  /**
   * @param panel   Where it stands.
   * @param player  Plays it.
   * @param reviews What is decided.
   * @param onDecide  Called with a decision when a button is pressed.
   */
  constructor(panel, player, reviews, onDecide) {
    Object.assign(this, { panel, player, reviews });
    this.row = null;
    this.title = make("h2");
    this.badges = make("p", { className: "badges" });
    this.wave = make("canvas", { className: "wave", title: "Click to play from there" });
    this.time = make("span", { className: "time" });
    this.play = make("button", { type: "button", className: "play" });
    this.problem = make("p", { className: "problem" });
    this.said = make("p", { className: "text", dir: "auto", lang: "" });
    this.heard = make("p", { className: "text", dir: "auto", lang: "" });
    this.saidTitle = make("h3");
    this.heardTitle = make("h3", { text: "Heard" });
    this.reasons = make("ul", { className: "reasons" });
    this.known = make("dl");
    this.note = make("textarea", { dir: "auto", rows: 2, placeholder: "Note  ( n )", spellcheck: false });
    this.note.setAttribute("aria-label", "Note");
    this.buttons = Object.entries({ accept: "Accept", reject: "Reject", drop: "Drop" }).map(([name, text]) => {
      const button = make("button", { type: "button", className: `decision ${name}`, text });
      button.addEventListener("click", () => onDecide(name));
      return [name, button];
    });
    this.play.addEventListener("click", () => player.toggle(this.row));
    this.wave.addEventListener("click", (event) =>
      player.play(this.row, event.offsetX / this.wave.clientWidth));
    this.note.addEventListener("input", () => {
      reviews.decide(this.row, reviews.of(this.row).decision, this.note.value);
    });
    this.content = [
      make("div", { className: "head" }, this.title, this.badges),
      make("div", { className: "play-line" }, this.play, this.wave, this.time),
      this.problem,
      make("div", { className: "decide" }, ...this.buttons.map(([, button]) => button), this.note),
      make("div", { className: "texts" },
        make("div", {}, this.saidTitle, this.said), make("div", {}, this.heardTitle, this.heard)),
      this.reasons,
      this.known,
    ];
  }

  show(row) {
    this.row = row;
    if (!row) {
      this.panel.replaceChildren(make("p", { className: "nothing", text: "No row is like that." }));
      return;
    }
    if (this.panel.firstChild !== this.content[0]) this.panel.replaceChildren(...this.content);
    this.panel.scrollTop = 0;
    this.title.replaceChildren(isolate(row.id));
    this.saidTitle.textContent = row.kind === "stt" ? "Reference" : "To be said";
    this.saidTitle.parentElement.hidden = !row.text.join("") && row.kind === "stt";
    this.heardTitle.parentElement.hidden = !row.heard.join("") && row.kind !== "stt";
    fillPieces(this.said, row.text, "not heard so");
    fillPieces(this.heard, row.heard, "not in the text");
    this.reasons.replaceChildren(...row.reasons.map((text) => make("li", {}, isolate(text))));
    const known = {
      Voice: row.voice,
      Length: formatSeconds(row.seconds),
      Rate: row.rate === null ? "" : `${row.rate.toFixed(1)} letters a second`,
      CER: formatShare(row.cer),
      WER: formatShare(row.wer),
      Quality: row.quality === null ? "" : row.quality.toFixed(2),
      Attempts: String(row.attempts || ""),
      Classes: row.classes.join(", "),
      Row: String(row.position),
      File: decodeURIComponent(row.clip),
    };
    this.known.replaceChildren(...Object.entries(known).filter(([, value]) => value)
      .flatMap(([name, value]) => [make("dt", { text: name }), make("dd", {}, isolate(value))]));
    this.wave.hidden = this.play.hidden = this.time.hidden = !row.clip;
    this.refresh();
    this.follow();
  }

  /** Show what is decided. */
  refresh() {
    if (!this.row) return;
    const { decision, note } = this.reviews.of(this.row);
    if (document.activeElement !== this.note) this.note.value = note;
    this.badges.replaceChildren(...makeBadges(this.row, decision));
    for (const [name, button] of this.buttons) {
      button.setAttribute("aria-pressed", String(name === decision));
      button.disabled = name !== "drop" && !this.row.sha256;
    }
  }

  /** Show where the player is. */
  follow() {
    const { row, player } = this;
    if (!row) return;
    const heard = player.progress(row);
    drawWave(this.wave, row.wave, heard);
    this.play.textContent = player.isPlaying(row) ? "❚❚" : "▶";
    this.play.setAttribute("aria-label", player.isPlaying(row) ? "Pause" : "Play");
    const seconds = player.duration(row);
    this.time.textContent = `${formatSeconds(heard * seconds)} / ${formatSeconds(seconds)}`;
    this.problem.textContent = player.row === row ? player.problem : "";
  }
}

/** Make the marks that tell at a glance how a row stands. */
function makeBadges(row, decision) {
  const badge = (text, kind) => make("span", { className: `badge ${kind}`, text });
  const badges = [];
  if (row.status !== "done") badges.push(badge(NAMES[row.status] ?? row.status, row.status));
  if (row.verdict !== "unchecked") badges.push(badge(row.verdict, row.verdict));
  if (decision) badges.push(badge(DECISIONS[decision], decision));
  return badges;
}
