"""The card of a dataset: what is in it, how it came about, how it was checked, how it is loaded."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from batchjobs.dataset.layout import Layout, Plan, WrittenFile
from batchjobs.dataset.layouts.arrow import features_of
from batchjobs.dataset.listing import Listing
from batchjobs.dataset.totals import Share, Totals
from batchjobs.formatting import duration, plural

NAME: Final = "README.md"
_MOST_ROWS: Final = 50
_MOST_SUMS: Final = 30
_SIZES: Final = (("n<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6))
_LICENCE: Final = (
    "_To be filled in_: whose texts and voices these are, and what may be done with them. The terms "
    "of the services below say what their voices may be used for."
)
_EVIDENCE: Final = (
    "Each clip counted as done once every check of its session agreed (its end, its length against "
    "the text, its samples), and its file had the same SHA-256 when it was exported."
)


def write_card(
    plan: Plan,
    listing: Listing,
    totals: Mapping[str, Totals],
    layout: Layout,
    files: Sequence[WrittenFile],
) -> str:
    """Write the card.

    Args:
        plan: The dataset's.
        listing: What was seen of the rows.
        totals: Of each split.
        layout: The form.
        files: The files that are no clips.
    """
    every = Totals()
    for each in totals.values():
        every.merge(each)
    parts = [
        _front_matter(plan, every, layout),
        f"# {plan.name}",
        f"{plural(every.rows, 'clip')}, {duration(every.seconds)} of sound.",
        _table("split", {split: Share(t.rows, t.seconds) for split, t in totals.items()}),
        "## Licence",
        _LICENCE,
        "## What is in it",
        _table("voice", every.voices),
        _table("language", every.languages),
        _table("service and model", every.services),
        _table("sample rate in hertz", every.sample_rates),
        _columns(plan),
        "## How it came about",
        _origin(plan, listing, every),
        "## How it was checked",
        _checks(plan, every),
        "## How to load it",
        f"`{plan.name}` is this folder, seen from the one that it lies in.",
        layout.describe_loading(plan),
        "## Checksums",
        _checksums(files),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(plan: Plan, every: Totals, layout: Layout) -> str:
    """Write what the Hub reads: YAML, whose strings are JSON's."""
    languages = [language for language in every.languages if language]
    size = next((name for name, most in _SIZES if every.rows < most), "1M<n<10M")
    lines = [
        "# license: to be filled in, for example cc-by-4.0",
        f"language: {json.dumps(languages)}",
        "task_categories: [text-to-speech, automatic-speech-recognition]",
        f"size_categories: [{json.dumps(size)}]",
    ]
    data = layout.describe_data(plan)
    if data:
        lines += ["configs:", "- config_name: default", "  data_files:"]
        for split, pattern in data.items():
            lines += [f"  - split: {split}", f"    path: {json.dumps(pattern)}"]
    if layout.is_table:
        lines += ["dataset_info:", "  features:"]
        for name, feature in features_of(plan.schema.columns, has_audio=True).items():
            lines.append(f"  - name: {json.dumps(name, ensure_ascii=False)}")
            lines.append(f"    dtype: {feature.get('dtype', 'audio')}")
    return "\n".join(["---", *lines, "---"])


def _table(what: str, shares: Mapping[str, Share]) -> str:
    """Write shares as a table, the longest first."""
    if not any(shares):
        return ""
    ranked = sorted(shares.items(), key=lambda item: -item[1].seconds)
    if what == "split":
        ranked = list(shares.items())
    lines = [f"| {what} | clips | length |", "|---|---:|---:|"]
    for name, share in ranked[:_MOST_ROWS]:
        shown = _escape(name) or "not known"
        lines.append(f"| {shown} | {share.rows:,} | {duration(share.seconds)} |")
    if len(ranked) > _MOST_ROWS:
        lines.append(f"| {len(ranked) - _MOST_ROWS:,} more | | |")
    return "\n".join(lines)


def _columns(plan: Plan) -> str:
    names = [f"`{column.name}` ({column.kind})" for column in plan.schema.columns]
    return f"Columns: {', '.join(names)}. `seconds` is the clip's frames by its rate, unrounded."


def _origin(plan: Plan, listing: Listing, every: Totals) -> str:
    """Say what was taken of the runs, what was done to it, and what was left out."""
    settings, lines = plan.settings, []
    lines.append(f"Exported by batchjobs from {plural(listing.census.rows, 'row')} of its runs.")
    if settings.split:
        by = "voice" if settings.disjoint == "voice" else "text"
        lines.append(
            f"Splits: `{settings.split}`, by a hash of the {by}; texts that differ only in case, "
            "diacritics, punctuation or spacing are in one split."
        )
    done = []
    if settings.sample_rate:
        done.append(f"resampled to {settings.sample_rate:,} Hz")
    if settings.trim:
        done.append("cut to 0.1 s of silence at either end")
    if settings.loudness_lufs is not None:
        done.append(f"brought to {settings.loudness_lufs:g} LUFS each")
    changed = f"; {', '.join(done)}" if done else ""
    lines.append(
        f"{plural(every.rows - every.made, 'clip')} as the services' samples were written, "
        f"{every.made:,} made anew of them{changed}."
    )
    if every.changed_texts:
        lines.append(
            f"{plural(every.changed_texts, 'text')} changed: the form has no place for them."
        )
    for old, new in listing.own.renamed.items():
        lines.append(f"The manifest's column `{_escape(old)}` is called `{_escape(new)}` here.")
    return "\n".join(f"- {line}" for line in lines)


def _checks(plan: Plan, every: Totals) -> str:
    lines = [_EVIDENCE]
    if plan.schema.has_checks:
        shares = {name or "not checked": share for name, share in every.verdicts.items()}
        lines.append(
            "Clips were heard again by a recogniser and compared with their texts (`verdict`, and "
            "`cer`, the character error rate of the normalised texts):"
        )
        lines.append(_table("verdict", shares))
    else:
        lines.append("They were not compared with their texts by a recogniser.")
    if plan.settings.include:
        lines.append(f"In it, too: {', '.join(plan.settings.include)} ones.")
    return "\n\n".join(lines)


def _checksums(files: Sequence[WrittenFile]) -> str:
    """List the files that are few; all others are in the file of checksums."""
    lines = ["`sha256sum -c SHA256SUMS` checks all files; those that are no clips:", ""]
    lines += [f"    {file.sha256}  {file.path}" for file in files[:_MOST_SUMS]]
    if len(files) > _MOST_SUMS:
        lines.append(f"    and {len(files) - _MOST_SUMS:,} more")
    return "\n".join(lines)


def _escape(text: str) -> str:
    """Write a text into a table's cell, as it is."""
    plain = " ".join(text.split())
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
