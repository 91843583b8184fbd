"""This project's programs, set up as its command is."""

from batchjobs.process.tuning import tune_imports

tune_imports()
