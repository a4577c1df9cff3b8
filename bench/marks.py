"""Text that scripts write into pages: it stands between two marks that name where it comes from."""


def replaced(page: str, name: str, text: str) -> str:
    """A page with another text between the marks of a name.

    Raises
    ------
    ValueError
        If the page has no such marks.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"the page lacks {begin} or {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"
