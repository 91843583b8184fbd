"""The forms of a dataset, one file each."""
