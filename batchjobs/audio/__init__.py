"""Sound: headers and samples of every format, read safely, and results encoded."""
