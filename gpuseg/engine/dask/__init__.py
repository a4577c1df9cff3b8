"""Buckets over the workers of a dask cluster."""
