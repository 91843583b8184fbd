"""The process itself: signals, how it was called, and what it is tuned by."""
