"""A run whose results are in a bucket: whose it is, and how another machine can go on with it."""
