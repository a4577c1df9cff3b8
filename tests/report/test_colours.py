from gpuseg.report.colours import diverging, segment_colour, text_on


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_segment_colours_differ_and_carry_legible_numbers() -> None:
    colours = [segment_colour(position, position) for position in range(30)]
    assert len(set(colours)) == 30
    assert all(contrast(colour, text_on(colour)) >= 4.5 for colour in [*colours, segment_colour(3, -1)])


def test_heatmap_cells_saturate_and_mark_the_side() -> None:
    assert diverging(5.0, limit=3.0).alpha == 1.0
    assert diverging(-1.5, limit=3.0).side == "lower"
    assert diverging(0.0, limit=3.0).side == "none"
    assert diverging(None, limit=3.0).side == "missing"
