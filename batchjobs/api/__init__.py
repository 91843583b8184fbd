"""What the commands do, for Python: the package hands it on."""
