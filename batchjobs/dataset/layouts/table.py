"""Which form is written by what."""

from batchjobs.dataset.layout import Layout
from batchjobs.dataset.layouts.hf import HuggingFace
from batchjobs.dataset.layouts.lhotse import Lhotse
from batchjobs.dataset.layouts.ljspeech import LJSpeech
from batchjobs.dataset.layouts.nemo import NeMo
from batchjobs.dataset.layouts.parquet import Parquet
from batchjobs.dataset.layouts.shar import Shar
from batchjobs.dataset.layouts.webdataset import WebDataset
from batchjobs.errors import UsageError
from batchjobs.options.dataset import ExportSettings


def find_layout(settings: ExportSettings) -> Layout:
    """Find what writes a form.

    Raises:
        UsageError: The settings do not go together.
    """
    if settings.is_shar and settings.form != "lhotse":
        raise UsageError("shards of Lhotse's are for --to lhotse", hint="leave out --shar")
    layouts: dict[str, Layout] = {
        "hf": HuggingFace(),
        "parquet": Parquet(),
        "webdataset": WebDataset(),
        "lhotse": Shar() if settings.is_shar else Lhotse(),
        "nemo": NeMo(),
        "ljspeech": LJSpeech(),
    }
    return layouts[settings.form]
