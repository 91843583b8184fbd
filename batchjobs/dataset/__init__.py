"""Results as datasets that training code loads as they are."""

from batchjobs.dataset.exporting import ExportReport, export

__all__ = ["ExportReport", "export"]
