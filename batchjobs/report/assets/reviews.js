// What is decided: kept by the browser until it is saved, or by the server at once.

const DECISIONS = { accept: "accepted", reject: "rejected", drop: "dropped" };

class Reviews {
  /**
   * @param rows     All rows of the page.
   * @param onSaved  Called with what to tell when something was saved, or could not be.
   */
  constructor(rows, onSaved) {
    this.onSaved = onSaved;
    this.changed = new Map();
    this.place = `batchjobs review of ${facts.run}`;
    this.isSaved = true;
    this.timer = 0;
    this.waiting = new Map();
    this.isSending = false;
    this.byId = new Map(rows.map((row) => [row.id, row]));
    addEventListener("beforeunload", (event) => {
      this.keep();
      if (!this.isSaved) event.preventDefault();
    });
  }

  of(row) {
    return this.changed.get(row.id) ?? row;
  }

  /** Decide about a row; nothing decided, and nothing noted, is none. */
  decide(row, decision, note = this.of(row).note) {
    this.changed.set(row.id, { decision, note });
    if (decision === row.decision && note === row.note) this.changed.delete(row.id);
    this.isSaved = false;
    if (facts.served) {
      this.waiting.set(row.id, row);
      this.send();
    } else {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.keep(), 300);
    }
  }

  /** Write what was decided as review.jsonl has it. */
  lines() {
    return [...this.changed]
      .filter(([, { decision }]) => decision)
      .map(([id, { decision, note }]) => {
        const { sha256 } = this.byId.get(id);
        return `${JSON.stringify({ run: facts.run, id, decision, note, sha256 })}\n`;
      });
  }

  // -- a page from the disk ---------------------------------------------------------------------

  /** Take up what this browser has kept of an earlier visit, of clips that are still the same. */
  restore(entries = this.read()) {
    for (const [id, decision, note, sha256] of entries) {
      const row = this.byId.get(id);
      const isNews = row && (decision !== row.decision || note !== row.note);
      if (isNews && row.sha256 === sha256 && (decision in DECISIONS || !decision)) {
        this.changed.set(id, { decision, note });
        this.isSaved &&= facts.served;
      }
    }
  }

  read() {
    try {
      return JSON.parse(localStorage.getItem(this.place)) ?? [];
    } catch {
      return [];
    }
  }

  keep() {
    if (facts.served) return;
    const entries = [...this.changed].map(([id, { decision, note }]) =>
      [id, decision, note, this.byId.get(id).sha256]);
    try {
      localStorage.setItem(this.place, JSON.stringify(entries));
    } catch {
      this.onSaved("This browser keeps nothing of this page: save often.");
    }
  }

  download() {
    const lines = this.lines();
    const address = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
    make("a", { href: address, download: "review.jsonl" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    this.keep();
    this.isSaved = true;
    this.onSaved(`${formatCount(lines.length, "decision")} in review.jsonl. Carry them out with:`
      + ` batchjobs review RUN review.jsonl`);
  }

  // -- a page from the server -------------------------------------------------------------------

  /** Send what was decided to the server, one request at a time, until all is there. */
  async send() {
    if (this.isSending) return;
    this.isSending = true;
    while (this.waiting.size) {
      const [[id, row]] = this.waiting;
      this.waiting.delete(id);
      const { decision, note } = this.of(row);
      try {
        await request("decisions", { id, decision, note });
      } catch (error) {
        this.waiting.set(id, row);
        this.onSaved(`Not saved yet: ${error.message}. It is tried again.`);
        await new Promise((resolve) => setTimeout(resolve, 2_000));
      }
    }
    this.isSending = false;
    this.isSaved = true;
    this.onSaved("");
  }
}

/** Send JSON to the server that this page is from, and give its answer. */
async function request(address, content) {
  const answer = await fetch(address, content && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  });
  if (!answer.ok) throw new Error(`the server says ${answer.status}`);
  return answer.json();
}
