"""What a caller may want to see while stages run."""


class Progress:
    """Shows nothing; override what should be seen."""

    def start(self, stage: str, n_buckets: int) -> None:
        """Announce that a stage begins."""

    def advance(self, step: str, n: int) -> None:
        """Announce that `n` more rows (step "read"), passes ("fit") or buckets (other steps) are done.

        With `n` 0, `step` is a line for people about what takes long from now on.
        """

    def finish(self, stage: str, seconds: float, *, reused: bool) -> None:
        """Announce that a stage is committed."""
