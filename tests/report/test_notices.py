import pytest

from gpuseg.report.notices import is_routine, sorted_notices
from gpuseg.segments.text import withheld_text

ROUTINE = [
    "orders: 3 amounts were finer than 1/10000 and were rounded half to even",
    "orders: 307 rows at or after as_of were left out",
    "orders: 307 rows without consent were left out",
    "orders: 307 rows past their retention were left out",
    "orders: 2 rows that repeat another were left out",
    "people: 5 profiles have no record of consent in it and were left out",
    "people: no features of age, tier: they never vary, or their values are too many or of too few",
    "constant features left out of the matrix: share_x, n_orders_30d",
    withheld_text({"n_segments": 1, "n_profiles": 1, "group_floor": 10}),
]
TO_ACT_ON = [
    "orders: 2 rows that repeat another were counted again",
    "orders: the files a.csv and b.csv hold the same bytes; remove all but one",
    "orders: 9 rows quarantined were left out",
    "orders: 9 rows with a key that the identity map lacks were left out",
    "people: 5 profiles have no record of consent in it and were used (consent_unknown: use)",
    "family browsing skipped: no source of kind web",
    "something that nobody thought of",
]


@pytest.mark.parametrize("notice", ROUTINE)
def test_what_was_asked_for_is_routine(notice):
    assert is_routine(notice)


@pytest.mark.parametrize("notice", TO_ACT_ON)
def test_everything_else_is_a_warning(notice):
    assert not is_routine(notice)


def test_notices_are_sorted_and_none_is_lost():
    assert sorted_notices([*TO_ACT_ON, *ROUTINE]) == (TO_ACT_ON, ROUTINE)


@pytest.mark.parametrize(
    ("notice", "shown"),
    [
        ("o: 1 rows quarantined were left out", "o: 1 row quarantined was left out"),
        ("o: 1 rows that repeat another were counted again", "o: 1 row that repeats another was counted again"),
        ("o: 1 profiles have no record of consent in it and were used", "o: 1 profile has no record of consent in it"),
        ("o: 21 rows quarantined were left out", "o: 21 rows quarantined were left out"),
        ("o: 2,001 rows quarantined were left out", "o: 2,001 rows quarantined were left out"),
    ],
)
def test_one_is_singular(notice, shown):
    assert sorted_notices([notice])[0][0].startswith(shown)
