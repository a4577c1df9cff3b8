"""The GPU as a device: cuDF reads and groups, CuPy holds arrays. Written against RAPIDS 26.10; not yet run on a GPU."""
