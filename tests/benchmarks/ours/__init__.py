"""This project's programs, set up as its command is."""

from batchjobs.tuning import tune_imports

tune_imports()
