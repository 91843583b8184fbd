"""Results on disk: a job's files, what can be used again, and the reports."""
