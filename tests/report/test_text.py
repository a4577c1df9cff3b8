import pytest

from gpuseg.report import text


@pytest.mark.parametrize(
    ("share", "written"),
    [
        (0.3241, "32%"),
        (0, "0%"),
        (1.0, "100%"),
        (0.004, "0.4%"),
        (0.0004, "under 0.1%"),
        (0.9960, "99.6%"),
        (0.99999, "over 99.9%"),
        (-0.031, "−3.1%"),
        (-0.31, "−31%"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_percent(share: float | None, written: str) -> None:
    assert text.percent(share) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (12.5, "12.50"),
        (9999.994, "9,999.99"),
        (4596039.58, "4,596,040"),
        (-3.2, "−3.20"),
        (-0.001, "0.00"),
        (None, "–"),
    ],
)
def test_money(value: float | None, written: str) -> None:
    assert text.money(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(4596039.58, "4.6 million"), (1.234e9, "1.23 billion"), (12_345.6, "12,346")]
)
def test_short_money(value: float, written: str) -> None:
    assert text.short_money(value) == written


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (5.0, "days", "5"),
        (12.345, "days", "12.3"),
        (1234.5, "orders", "1,234"),
        (0.05, "share", "5%"),
        (28.9, "currency", "28.90"),
        (3.0, "", "3"),
    ],
)
def test_quantity(value: float, unit: str, written: str) -> None:
    assert text.quantity(value, unit=unit) == written


@pytest.mark.parametrize(("effect", "written"), [(1.44, "+1.4"), (-0.75, "−0.8"), (-0.04, "0"), (None, "–")])
def test_signed(effect: float | None, written: str) -> None:
    assert text.signed(effect) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [("2018-01-01", "1 January 2018"), ("2018-12-31T00:00:00", "31 December 2018"), ("soon", "soon")],
)
def test_day(value: str, written: str) -> None:
    assert text.day(value) == written
