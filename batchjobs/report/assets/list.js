// The list: as many rows in the page as can be seen, however many there are.

const SPARE_ROWS = 4;

class VirtualList {
  /**
   * @param viewport  Scrolls.
   * @param content   Is as high as all rows are; has those that are seen.
   * @param makeRow   Makes an empty element of a row.
   * @param fillRow   Puts a row into it.
   */
  constructor(viewport, content, makeRow, fillRow) {
    Object.assign(this, { viewport, content, makeRow, fillRow });
    this.items = [];
    this.pool = [];
    this.height = parseFloat(getComputedStyle(viewport).getPropertyValue("--row"));
    viewport.addEventListener("scroll", () => this.render(), { passive: true });
    new ResizeObserver(() => this.render()).observe(viewport);
  }

  show(items) {
    this.items = items;
    this.content.style.height = `${items.length * this.height}px`;
    this.render();
  }

  render() {
    const first = Math.max(0, Math.floor(this.viewport.scrollTop / this.height) - SPARE_ROWS);
    const seen = Math.ceil(this.viewport.clientHeight / this.height) + 2 * SPARE_ROWS;
    const last = Math.min(this.items.length, first + seen);
    while (this.pool.length < last - first) {
      const element = this.makeRow();
      this.pool.push(element);
      this.content.append(element);
    }
    this.pool.forEach((element, at) => {
      const place = first + at;
      element.hidden = place >= last;
      if (element.hidden) return;
      element.style.transform = `translateY(${place * this.height}px)`;
      this.fillRow(element, this.items[place], place);
    });
  }

  /** Bring a row into sight. */
  reveal(place) {
    const top = place * this.height;
    const { scrollTop, clientHeight } = this.viewport;
    if (top < scrollTop) this.viewport.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) {
      this.viewport.scrollTop = top + this.height - clientHeight;
    }
  }
}
