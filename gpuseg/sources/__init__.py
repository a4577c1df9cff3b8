"""Plans for reading: which files, which columns under which canonical names, in which zone."""
