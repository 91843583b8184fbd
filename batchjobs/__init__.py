"""Bulk speech work from a manifest."""
