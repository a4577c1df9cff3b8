"""What HDBSCAN is estimated to take."""

import pytest

from gpuseg.clustering.cost import density_cost, duration, size
from gpuseg.engine.cpu.device import CpuDevice


def test_time_grows_with_the_pairs_and_memory_with_the_rows():
    one, two = (density_cost(n, 13, device=CpuDevice(), min_samples=5) for n in (60_000, 120_000))
    assert two.seconds == 4 * one.seconds
    assert two.n_bytes == 2 * one.n_bytes == 2 * 60_000 * (250 + 24 * 13 + 28 * 5)
    # Measured on two cores: 34 s for 60,000 rows of 13 features, 90 s for 30,000 of 70.
    assert one.seconds / 3 < 34 < one.seconds * 3
    assert density_cost(30_000, 70, device=CpuDevice(), min_samples=5).seconds == pytest.approx(90, rel=0.5)
    assert one.text == "hdbscan of 60,000 profiles with 13 features: by estimate 47 seconds, with 42.1 MB of memory"


def test_a_device_that_was_never_timed_says_so():
    class Untimed(CpuDevice):
        name = "gpu"

    found = density_cost(1_000_000, 8, device=Untimed(), min_samples=5)
    assert found.seconds is None
    assert "by estimate in a time never measured there, with " in found.text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "1 second"),
        (89.4, "89 seconds"),
        (90.0, "2 minutes"),
        (5_399.0, "90 minutes"),
        (5_400.0, "2 hours"),
        (9e6, "2,500 hours"),
    ],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_sizes_in_words():
    assert (size(42_120_000), size(1e9)) == ("42.1 MB", "1.0 GB")
