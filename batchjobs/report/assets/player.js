// The player: one for all clips, which loads a clip when it is played, and draws its wave form.

class Player {
  /** @param onChange  Called when a clip begins, moves on, ends, or cannot be played. */
  constructor(onChange) {
    this.audio = new Audio();
    this.audio.preload = "none";
    this.row = null;
    this.problem = "";
    for (const name of ["play", "pause", "ended", "seeked", "durationchange", "timeupdate"]) {
      this.audio.addEventListener(name, () => onChange());
    }
    this.audio.addEventListener("error", () => {
      if (!this.row) return;
      this.problem = "This clip cannot be played: its file is gone or has been moved, or this browser"
        + " does not play the format.";
      onChange();
    });
    const follow = () => {
      if (!this.audio.paused) onChange();
      requestAnimationFrame(follow);
    };
    requestAnimationFrame(follow);
  }

  isPlaying(row) {
    return this.row === row && !this.audio.paused;
  }

  /** How much of a row's clip has been heard: 0 to 1. */
  progress(row) {
    if (this.row !== row || !(this.duration(row) > 0)) return 0;
    return this.audio.ended ? 0 : this.audio.currentTime / this.duration(row);
  }

  duration(row) {
    const known = this.row === row ? this.audio.duration : NaN;
    return Number.isFinite(known) && known > 0 ? known : row.seconds;
  }

  toggle(row) {
    if (this.isPlaying(row)) this.audio.pause();
    else this.play(row);
  }

  play(row, fraction = null) {
    if (!row.clip) return;
    if (this.row !== row) {
      this.row = row;
      this.problem = "";
      this.audio.src = row.clip;
    }
    if (fraction !== null) this.seek(fraction * row.seconds);
    this.audio.play().catch(() => {}); // what is wrong is told by the event, and a pause is no fault
  }

  stop() {
    this.audio.pause();
  }

  skip(seconds) {
    if (this.row) this.seek(Math.max(0, this.audio.currentTime + seconds));
  }

  seek(seconds) {
    this.audio.currentTime = seconds;
  }
}

/** Draw a wave form, what has been heard of it in another colour. */
function drawWave(canvas, wave, heard) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = window.devicePixelRatio || 1;
  if (!width) return;
  if (canvas.width !== Math.round(width * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  const colours = getComputedStyle(canvas);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const step = width / facts.parts;
  for (let part = 0; part < facts.parts; part += 1) {
    const level = wave ? facts.levels.indexOf(wave[part]) / 63 : 0;
    const bar = Math.max(1.5, level * (height - 2));
    context.fillStyle = (part + 0.5) / facts.parts <= heard ? colours.accentColor : colours.color;
    context.fillRect(part * step + step * 0.15, (height - bar) / 2, step * 0.7, bar);
  }
}
