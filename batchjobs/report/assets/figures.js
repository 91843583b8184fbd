// The figures: how the clips of each voice are spread, and what was paid for what.

const MEASURES = {
  seconds: ["Length", (value) => `${value.toFixed(1)} s`],
  rate: ["Rate", (value) => `${value.toFixed(0)} letters/s`],
  cer: ["Character errors", (value) => `${(value * 100).toFixed(0)} %`],
  quality: ["Quality", (value) => value.toFixed(1)],
};
const COSTS = { day: "By day", voice: "By voice", result: "By what became of it" };
const RESULTS = {
  done: "done",
  kept: "kept in doubt",
  suspect: "in doubt, and replaced",
  lost: "lost to a kill",
  open: "open",
};
const SVG = "http://www.w3.org/2000/svg";

function showFigures(panel) {
  panel.replaceChildren(
    make("section", {}, make("h2", { text: "Voices" }), makeHistograms(facts.histograms)),
    make("section", {}, make("h2", { text: "Cost" }),
      make("p", { className: "hint", text: "What sessions have sent, at the prices of now." }),
      make("div", { className: "costs" }, ...Object.keys(COSTS).map((way) => makeCosts(way)))),
  );
}

function makeHistograms(histograms) {
  const measures = Object.keys(MEASURES).filter((name) => name in histograms);
  const voices = [...new Set(measures.flatMap((name) => Object.keys(histograms[name].voices)))];
  const table = make("table", { className: "histograms" });
  table.append(make("thead", {}, make("tr", {}, make("th", { text: "Voice", scope: "col" }),
    ...measures.map((name) => make("th", { text: MEASURES[name][0], scope: "col" })))));
  table.append(make("tbody", {}, ...voices.map((voice) =>
    make("tr", {}, make("th", { scope: "row" }, isolate(voice || "recordings")),
      ...measures.map((name) => make("td", {}, ...makeHistogram(histograms[name], voice, MEASURES[name][1])))))));
  return table;
}

function makeHistogram({ low, high, voices }, voice, format) {
  const counts = voices[voice];
  if (!counts) return [];
  const most = Math.max(...counts);
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `0 0 ${counts.length} 20`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("role", "img");
  counts.forEach((count, at) => {
    const height = count ? Math.max(0.6, (count / most) * 20) : 0;
    const bar = document.createElementNS(SVG, "rect");
    const title = document.createElementNS(SVG, "title");
    const step = (high - low) / counts.length;
    title.textContent = `${format(low + at * step)} to ${format(low + (at + 1) * step)}: ${count}`;
    for (const [name, value] of Object.entries({ x: at + 0.08, y: 20 - height, width: 0.84, height })) {
      bar.setAttribute(name, value);
    }
    bar.append(title);
    picture.append(bar);
  });
  return [picture, make("div", { className: "axis" },
    make("span", { text: format(low) }), make("span", { text: format(high) }))];
}

function makeCosts(way) {
  const name = (value) => (way === "result" ? RESULTS[value] ?? value : value || "recordings, and rows that are gone");
  return make("table", {},
    make("caption", { text: COSTS[way] }),
    make("thead", {}, make("tr", {}, ...["", "sessions", "characters", "seconds", "cost"]
      .map((text) => make("th", { text, scope: "col" })))),
    make("tbody", {}, ...facts.costs[way].map(([value, sessions, characters, seconds, cost]) =>
      make("tr", {}, make("th", { scope: "row" }, isolate(name(value))),
        ...[sessions, characters, seconds].map((count) => make("td", { text: count.toLocaleString("en") })),
        make("td", { text: cost })))));
}
