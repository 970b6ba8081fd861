"""Runs on other processes and machines, by dask.distributed: only the parent writes records."""
