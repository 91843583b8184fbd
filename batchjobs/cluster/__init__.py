"""Sessions in other processes, on this machine or others: a Dask cluster carries them."""
