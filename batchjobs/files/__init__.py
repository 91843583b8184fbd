"""Files that outlive a power cut, paths that stay inside their root, and the run folder's names."""
