"""What a CRM says of a profile: figures, dates and words."""

from collections.abc import Sequence

from gpuseg.features.algebra import Attribute, AttributeColumn, Constant, Context, Expression, Family, Feature, escaped

N_VALUES = 10


def declare(context: Context) -> Sequence[Feature]:
    """A column for each figure, under its own name; `COLUMN_days` for a date; `COLUMN=VALUE`, 0 or 1, for words.

    Of the words of a column the 10 most frequent are named, if at least `privacy.group_floor` profiles have them; the
    rest share `COLUMN=other`; null where the profile has no row or no value. A date becomes the days from it to
    `as_of`.
    """
    return [feature for column in context.attributes for feature in _features(column, context)]


def _features(column: AttributeColumn, context: Context) -> Sequence[Feature]:
    words = column.name.replace("_", " ")
    if column.kind == "number":
        figure = Attribute(column.table, column.name)
        return [Feature(column.name, figure, words, f"{escaped(words)} of {{value}}", "units")]
    if column.kind == "date":
        days = Attribute(column.table, column.name, as_of_day=context.as_of_day)
        label = f"days since {words}"
        return [Feature(f"{column.name}_days", days, label, f"{{value}} days since {escaped(words)}", "days")]
    named = [value for value in column.values[:N_VALUES] if value != "other"]
    parts: list[tuple[str, Expression]] = [(value, Attribute(column.table, column.name, value)) for value in named]
    if len(named) < column.n_values:
        rest: Expression = Constant(1)
        for _, part in parts:
            rest = rest - part
        parts.append(("other", rest))
    return [
        Feature(
            f"{column.name}={value}",
            part,
            f"{words}: {value}",
            f"{{value}} with {escaped(words)} {escaped(value)}",
            "share",
        )
        for value, part in parts
    ]


FAMILY = Family("attributes", "crm", declare)
