"""One page to look at a run and listen to it: rows, figures, wave forms, and who may see them."""
