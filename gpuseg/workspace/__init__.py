"""Run directories: atomic commits, manifests with checksums, locks, resume."""
