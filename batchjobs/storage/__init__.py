"""Object storage: buckets as they are named, read and written."""
