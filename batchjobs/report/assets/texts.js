// Texts: how they are searched, and how they are put into the page. Nothing here, or anywhere in this
// script, makes markup of a text: elements are made one by one, and texts stay texts.

const UNSEEN = /[\p{M}\u0640\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;
const ALIKE = {
  ى: "ي", ی: "ي", ې: "ي",
  ة: "ه", ە: "ه", ہ: "ه", ھ: "ه",
  ک: "ك", ٱ: "ا", ء: "",
};
const OTHER_FORMS = new RegExp(`[${Object.keys(ALIKE).join("")}]`, "gu");
const OTHER_DIGITS = /[\u0660-\u0669\u06f0-\u06f9]/gu;

/** Write a text as it is searched: without marks, and letters that are often mistaken as one. */
function fold(text) {
  return text
    .normalize("NFKD") // takes hamza, madda and accents from their letters: they are marks then
    .replace(UNSEEN, "")
    .toLowerCase()
    .replace(OTHER_FORMS, (letter) => ALIKE[letter])
    .replace(OTHER_DIGITS, (digit) => String(digit.codePointAt(0) & 15));
}

// Characters that turn the text around them about: shown by their names, so that nothing reads as what
// it is not.
const TURNS = {
  "\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO",
  "\u2066": "LRI", "\u2067": "RLI", "\u2068": "FSI", "\u2069": "PDI",
};
const EVERY_TURN = /[\u202a-\u202e\u2066-\u2069]/gu;

function showTurns(text) {
  return text.replace(EVERY_TURN, (turn) => `⟦${TURNS[turn]}⟧`);
}

/** Make an element: its class, what it says, and what stands in it. */
function make(tag, { text = "", ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

/** Make a text of any script stand by itself, in its own direction. */
function isolate(text, className = "") {
  return make("bdi", { text: showTurns(text), className, dir: "auto" });
}

/** Put a text into an element: by turns what is the same on the other side, and what is not. */
function fillPieces(element, pieces, title) {
  element.replaceChildren(
    ...pieces.map(showTurns).map((piece, at) => (at % 2 ? make("mark", { text: piece, title }) : piece)),
  );
}

function formatSeconds(seconds) {
  const tenths = Math.round(seconds * 10);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

function formatCount(count, name) {
  return `${count.toLocaleString("en")} ${name}${count === 1 ? "" : "s"}`;
}

function formatShare(share) {
  return share === null ? "" : `${(share * 100).toFixed(1)} %`;
}
