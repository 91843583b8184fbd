"""What of a recording is heard: words, names and numbers as manifests hold them."""

from pathlib import Path
from typing import Any

import pytest

from batchjobs.errors import UsageError
from batchjobs.jobs import AS_IT_IS, BadRow, Hearing, Job
from batchjobs.manifest.rules import Rules
from batchjobs.options import Defaults
from batchjobs.providers import BUILT_IN
from batchjobs.speech import Channels


def judge(folder: Path, defaults: Defaults | None = None, **columns: Any) -> Job | BadRow:
    """Judge a row that names a recording."""
    (folder / "in.wav").touch()
    rules = Rules(
        folder=folder,
        input_root=None,
        providers=BUILT_IN,
        defaults=defaults or Defaults(),
    )
    return rules.judge(2, {"audio": "in.wav"} | columns)


def heard(folder: Path, defaults: Defaults | None = None, **columns: Any) -> Hearing:
    """Say what a good row asks for."""
    job = judge(folder, defaults, **columns)
    assert isinstance(job, Job), job
    return job.hearing


@pytest.mark.parametrize(
    "value", [None, "", " ", 2, "2", "١", 2.0, "2.0", 0, "mix", "MIX ", "mono", "Stereo "]
)
def test_how_many_channels_there_are_asks_for_nothing(tmp_path: Path, value: object) -> None:
    """Data sets have a column of that name; as does one that is empty, it leaves all as it is."""
    assert heard(tmp_path, channels=value, channel_names="a,,a") == AS_IT_IS
    assert heard(tmp_path, Defaults(channels="left"), channels=value).channels == (
        "mix" if str(value).strip().lower() == "mix" else "left"
    )


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("channels", "both", "no way to hear"),
        ("channels", -1, "no way to hear"),
        ("channels", True, "no way to hear"),
        ("channels", ["apart"], "no way to hear"),
        ("track", "two", "no track"),
        ("track", 0, "no track"),
        ("track", 1.5, "no track"),
        ("channel_names", "A,", "empty"),
        ("channel_names", "A,A", "same name"),
        ("channel_names", "A\nB,C", "control"),
        ("channel_names", "A\u202eB,C", "control"),
        ("channel_names", "\u2067موظّف\u2069,C", "control"),
        ("channel_names", "[1,2]", "must be names"),
        ("channel_names", "[oh", "JSON"),
        ("channel_names", {"a": 1}, "must be names"),
        ("channel_names", "x" * 61, "longer"),
    ],
)
def test_anything_else_is_a_bad_row_with_a_hint(
    tmp_path: Path, column: str, value: object, says: str
) -> None:
    """It says which column, what is wrong and what to give."""
    row: dict[str, Any] = {"channels": "apart"} | {column: value}
    bad = judge(tmp_path, **row)
    assert isinstance(bad, BadRow)
    assert bad.column == column
    assert says in bad.message
    assert bad.hint.startswith("give")


@pytest.mark.parametrize("value", ["موظّف، عميل", "موظّف,عميل", '["موظّف","عميل"]', ["موظّف", "عميل"]])
def test_names_are_a_text_or_a_list(tmp_path: Path, value: object) -> None:
    """Arabic commas divide them, too."""
    found = heard(tmp_path, channels="apart", channel_names=value)
    assert found == Hearing(channels=Channels.APART, names=("موظّف", "عميل"))


def test_settings_hold_where_a_row_says_nothing(tmp_path: Path) -> None:
    """The row's own word comes first."""
    defaults = Defaults(channels="apart", channel_names="A,B", track=2)
    assert heard(tmp_path, defaults) == Hearing(channels=Channels.APART, names=("A", "B"), track=2)
    own = heard(tmp_path, defaults, channels="right", track="3")
    assert own == Hearing(channels=Channels.RIGHT, track=3)
    with pytest.raises(UsageError, match="channel_names"):
        judge(tmp_path, Defaults(channels="apart", channel_names="A,A"))
    with pytest.raises(UsageError, match="track"):
        judge(tmp_path, Defaults(track=0))


def test_a_text_to_speak_has_no_channels(tmp_path: Path) -> None:
    """The columns travel along, whatever they hold."""
    rules = Rules(
        folder=tmp_path, input_root=None, providers=BUILT_IN, defaults=Defaults(voice_id="v")
    )
    job = rules.judge(2, {"text": "كلام", "channels": "stereo", "track": "title"})
    assert isinstance(job, Job)


@pytest.mark.parametrize("column", ["channel", "tracks", "Channel_Name", "trackid", "n_channels"])
def test_columns_of_a_like_name_travel_along(tmp_path: Path, column: str) -> None:
    """They were no mistake before there were ours."""
    from batchjobs.manifest.columns import guess_columns

    assert guess_columns(column, ["audio", column]) == ()
