"""The process itself: signals and what it is tuned by."""
