"""Bad values in web, social, feedback and contacts sources: one clear line with file, row and column, and no value."""

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuseg
from gpuseg.errors import ConfigError, InvalidValueError, SchemaError
from tests.event_worlds import build

NOON = dt.datetime(2017, 12, 1, 12)
SECRET = 77_341
OUTSIDE_NPS = "the figure is not between 0 and 10"
OUTSIDE_DAY = "the figure is not between 0 and "
NO_NUMBER = "not a finite decimal number such as 1234.50 (no thousands separators)"


def table_of(column, values):
    """Three rows of one profile; `values` are those of one column."""
    return pa.table(
        {
            "profile_id": pa.array([SECRET] * 3, pa.int64()),
            "at": pa.array([NOON] * 3, pa.timestamp("us")),
            column: values if isinstance(values, pa.Array) else pa.array(values),
        }
    )


def one_line(caught):
    text = str(caught.value)
    assert "\n" not in text
    assert str(SECRET) not in text
    return text


BAD = [
    ("web", "dwell_ms", [None, -1, 5], OUTSIDE_DAY),
    ("web", "dwell_ms", [0.0, -0.25, 5.0], OUTSIDE_DAY),
    ("web", "dwell_ms", [86_400_000, 86_400_001, 5], OUTSIDE_DAY),
    ("web", "dwell_ms", ["12", "SECRET", None], NO_NUMBER),
    ("web", "dwell_ms", [1.0, math.inf, 2.0], "the figure is not a finite number"),
    ("feedback", "nps", [10, 11, 0], OUTSIDE_NPS),
    ("feedback", "nps", [10.0, 10.4, 0.0], OUTSIDE_NPS),
    ("feedback", "nps", [0.0, -0.4, math.nan], OUTSIDE_NPS),
    ("feedback", "nps", ["10", "10.000000000001", None], OUTSIDE_NPS),
    ("feedback", "nps", [Decimal("0.00"), Decimal("-0.01"), None], OUTSIDE_NPS),
    ("feedback", "nps", [" 3 ", "9 of 10", ""], NO_NUMBER),
    ("feedback", "rating", [1.5, math.inf, math.nan], "the figure is not a finite number"),
    ("feedback", "rating", [1.5, -math.inf, math.nan], "the figure is not a finite number"),
    ("feedback", "rating", ["1.5", "inf", None], NO_NUMBER),
    ("feedback", "rating", [1.5, 1e14, None], "the figure is larger than 2^53 thousandths"),
    ("feedback", "rating", pa.array([1, 2**63, None], pa.uint64()), "the figure is larger than 2^63 thousandths"),
]


@pytest.mark.parametrize(("kind", "column", "values", "reason"), BAD)
def test_a_bad_value_is_named_by_its_place(scan, tmp_path, kind, column, values, reason):
    path = tmp_path / "part.parquet"
    pq.write_table(table_of("theirs", values), path)
    with pytest.raises(InvalidValueError) as caught:
        scan(None, kind=kind, uri=str(path), columns={column: "theirs"})
    text = one_line(caught)
    assert text.startswith(f"orders: {path}, row 2, column 'theirs': {reason}")
    assert "SECRET" not in text


@pytest.mark.parametrize(
    ("kind", "column", "values", "wanted"),
    [
        ("web", "event", [1.5, 2.5, None], "text"),
        ("web", "url", [NOON, None, None], "text"),
        ("web", "dwell_ms", [True, False, None], "numbers or decimal text"),
        ("social", "action", [[1], [2], None], "text"),
        ("social", "network", [1.5, None, None], "text or integers"),
        ("feedback", "comment", [1, 2, 3], "text"),
        ("feedback", "rating", [[1], None, [2]], "numbers or decimal text"),
        ("feedback", "rating", [NOON, None, None], "numbers or decimal text"),
        ("feedback", "nps", [dt.date(2017, 1, 1), None, None], "numbers or decimal text"),
    ],
)
def test_a_type_that_cannot_hold_it(scan, kind, column, values, wanted):
    with pytest.raises(SchemaError) as caught:
        scan(table_of(column, values), kind=kind)
    text = one_line(caught)
    assert text.startswith(f"orders: frame, column {column!r}: the type is ")
    assert text.endswith(f", but {column} needs {wanted}")


@pytest.mark.parametrize("kind", ["web", "social", "feedback", "crm"])
@pytest.mark.parametrize("column", ["profile_id", "at"])
def test_what_every_row_needs(scan, kind, column):
    frame = table_of("rating", [1, 2, 3])
    values = [*frame[column].to_pylist()[:1], None, frame[column][2].as_py()]
    frame = frame.set_column(frame.schema.get_field_index(column), column, pa.array(values))
    columns = {"at": "at"} if kind == "crm" else {}
    with pytest.raises(InvalidValueError) as caught:
        scan(frame, kind=kind, columns=columns)
    assert one_line(caught) == f"orders: frame, row 2, column {column!r}: the value is missing; every row needs one"


def test_feedback_without_a_figure(scan):
    with pytest.raises(SchemaError, match="needs at least one of rating, nps, comment") as caught:
        scan(table_of("stars", [1, 2, 3]), kind="feedback")
    one_line(caught)


@pytest.mark.parametrize(
    ("figure", "promoters", "detractors"),
    [(0, 0, 1), (6, 0, 1), (7, 0, 0), (8, 0, 0), (9, 1, 0), (10, 1, 0)],
)
@pytest.mark.parametrize("form", [float, str, Decimal])
def test_promoters_and_detractors(scan, figure, promoters, detractors, form):
    value = Decimal(str(figure)) if form is Decimal else form(figure)
    columns, _ = scan(table_of("nps", [value, None, None]), kind="feedback")
    assert (columns["n_nps"], columns["n_promoters"], columns["n_detractors"]) == (
        [1, 0, 0],
        [promoters, 0, 0],
        [detractors, 0, 0],
    )


@pytest.mark.parametrize("figure", [6.4, 8.7, 8.999])
@pytest.mark.parametrize("form", [float, str, Decimal])
def test_a_recommendation_between_two_whole_ones_is_refused(scan, figure, form):
    """It is neither rounded up to a promoter nor down to a detractor."""
    value = Decimal(str(figure)) if form is Decimal else form(figure)
    with pytest.raises(InvalidValueError, match="row 1, column 'nps': the figure is not a whole number"):
        scan(table_of("nps", [value, None, None]), kind="feedback")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("half", pa.array([9.0, None, 10.0], pa.float16())),
        ("words", pa.array(["9", None, "10"]).dictionary_encode()),
        ("large text", pa.array(["9", None, "1e1"], pa.large_string())),
        ("bytes", pa.array([9, None, 10], pa.uint8())),
        ("nothing", pa.nulls(3)),
    ],
)
def test_a_figure_in_any_type(scan, kind, values):
    columns, _ = scan(table_of("nps", values), kind="feedback")
    known = [0, 0, 0] if kind == "nothing" else [1, 0, 1]
    assert columns["n_nps"] == columns["n_promoters"] == known
    assert columns["n_detractors"] == [0, 0, 0]


def attribute_build(engine, config_of, people, *, n=3, buckets=1, second=None, floor=1):
    """Features of lifecycle and attributes for n profiles that each bought once."""
    frames = {
        "orders": pa.table({"profile_id": list(range(n)), "at": [NOON] * n, "amount": ["1"] * n}),
        "people": pa.table({"profile_id": list(range(n)), "x": people}),
    }
    sources = [{"name": "orders", "kind": "purchases"}, {"name": "people", "kind": "crm", "columns": {"x": "x"}}]
    if second is not None:
        frames["second"] = pa.table({"profile_id": list(range(n)), "y": second})
        sources.append({"name": "second", "kind": "crm", "columns": {"x": "y"}})
    sections = {"features": {"families": ["lifecycle", "attributes"]}, "privacy": {"group_floor": floor}}
    config = config_of(*sources, sections=sections, as_of="2018-01-01", engine=engine.device.name, buckets=buckets)
    table = build(engine, config, frames).features
    return {name: table[name].to_pylist() for name in table.column_names if name.startswith("x")}


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["other", "other", None], {}),
        (["north", "north", "north"], {}),
        (["other", "south", None], {"x=south": [0, 1, None], "x=other": [1, 0, None]}),
        (["1", " 2 ", "+3e1"], {"x": [1.0, 2.0, 30.0]}),
        (["1", "2", "1e999"], {"x": [1.0, 2.0, None]}),
        (["1", "2", "NaN"], {"x=1": [1, 0, 0], "x=2": [0, 1, 0], "x=NaN": [0, 0, 1]}),
        (["1", "2", "0x3"], {"x=0x3": [0, 0, 1], "x=1": [1, 0, 0], "x=2": [0, 1, 0]}),
        ([Decimal("5651.65"), Decimal("1491.12"), Decimal("0.10")], {"x": [5651.65, 1491.12, 0.1]}),
        ([True, None, False], {"x": [1.0, None, 0.0]}),
        ([1.5, math.nan, math.inf], {"x": [1.5, None, None]}),
        ([dt.date(2018, 1, 1), dt.date(2018, 1, 2), None], {"x_days": [0.0, -1.0, None]}),
        (
            [dt.datetime(1969, 12, 31, 23, 59, 59, 500_000), dt.datetime(1970, 1, 1), None],
            {"x_days": [17_533.0, 17_532.0, None]},
        ),
        (["2018-01-01", "2017-12-31 23:00", None], {"x_days": [0.0, 1.0, None]}),
        (["2018-01-01", " 2017-12-30T01:00:00Z", "2018-01-01"], {"x_days": [0.0, 2.0, 0.0]}),
        (["2018-01-01", "2017-13-45", None], {"x=2017-13-45": [0, 1, None], "x=2018-01-01": [1, 0, None]}),
        (["2018-01-01", "soon", None], {"x=2018-01-01": [1, 0, None], "x=soon": [0, 1, None]}),
        ([None, None, None], {}),
    ],
)
def test_what_becomes_of_an_attribute(engine, config_of, values, found):
    assert attribute_build(engine, config_of, values) == found


def test_two_features_of_one_name_are_refused(engine, config_of):
    with pytest.raises(ConfigError, match="family attributes would give two features one name 'x'") as caught:
        attribute_build(engine, config_of, [1, 2, 3], second=[3, 2, 1])
    one_line(caught)


@pytest.mark.parametrize("n", [10_000, 10_001])
def test_text_of_many_values_is_the_same_over_any_buckets(engine, config_of, n):
    values = [f"v{number:05}" for number in range(n)]
    found = [attribute_build(engine, config_of, values, n=n, buckets=buckets) for buckets in (1, 7)]
    assert found[0] == found[1]
    assert set(found[0]) == ({f"x=v{number:05}" for number in range(10)} | {"x=other"} if n == 10_000 else set())


def test_figures_and_dates_in_text_may_have_any_number_of_values(engine, config_of):
    n = 10_500
    figures = [str(number / 4) for number in range(n)]
    days = [(dt.date(1990, 1, 1) + dt.timedelta(days=number)) for number in range(n)]
    for buckets in (1, 7):
        found = attribute_build(engine, config_of, figures, n=n, buckets=buckets)
        assert found == {"x": [number / 4 for number in range(n)]}
        found = attribute_build(engine, config_of, [day.isoformat() for day in days], n=n, buckets=buckets)
        assert found == {"x_days": [float((dt.date(2018, 1, 1) - day).days) for day in days]}


def test_a_clash_of_two_families_shows_no_data(engine, config_of):
    """A category and a network can lead to one feature name; the line names the families, not what the data says."""
    days = {"profile_id": [1, 2], "at": [NOON] * 2}
    frames = {
        "orders": pa.table({**days, "amount": ["1"] * 2, "category": ["on_secret"] * 2}),
        "posts": pa.table({**days, "network": ["secret"] * 2}),
    }
    sources = [{"name": "orders", "kind": "purchases"}, {"name": "posts", "kind": "social"}]
    with pytest.raises(ConfigError, match=r"family interests and social .*; leave one of them out") as caught:
        build(engine, config_of(*sources, as_of="2018-01-01", engine=engine.device.name), frames)
    assert "secret" not in one_line(caught)


def test_values_of_few_have_no_name(engine, config_of):
    """A value that few share points to them; together with others it does not."""
    values = ["a"] * 10 + ["b"] * 9 + ["HIV"]
    found = attribute_build(engine, config_of, values, n=20, floor=10)
    assert found == {"x=a": [1] * 10 + [0] * 10, "x=other": [0] * 10 + [1] * 10}
    apart = [f"C-{number}@example.com" for number in range(20)]
    assert attribute_build(engine, config_of, apart, n=20, floor=10) == {}


def test_attributes_alone_are_refused(tmp_path):
    frames = {
        "orders": pa.table({"profile_id": [1, 2], "at": [NOON] * 2, "amount": [1, 2]}),
        "people": pa.table({"profile_id": [1, 2], "x": [3, 4]}),
    }
    config = {
        "run": {"out": str(tmp_path / "run"), "as_of": "2018-01-01"},
        "sources": [
            {"name": "orders", "kind": "purchases"},
            {"name": "people", "kind": "crm", "columns": {"x": "x"}},
        ],
        "features": {"families": ["attributes"]},
    }
    with pytest.raises(ConfigError, match="attributes alone") as caught:
        gpuseg.run(config, frames=frames)
    one_line(caught)
