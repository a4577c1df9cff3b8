"""Every number that people read in the report and in the model card stands in a JSON file of the run, as rounded."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuseg

AS_OF = dt.date(2025, 1, 1)
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?%?")
# Sentences that the program wrote are no evidence for the numbers in them, nor are checksums.
WRITTEN = {"phrase", "short", "headline", "summary", "who", "does", "worth", "actions", "reason", "finding", "text"}
WRITTEN |= {"because", "sha256", "config_sha256", "key"}


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over three kinds of customers, its number of segments chosen by the program."""
    random = np.random.default_rng(5)
    lines = []
    for profile in range(150):
        n, first, last, price = [(30, 350, 3, 12), (4, 340, 200, 9), (9, 300, 20, 60)][profile % 3]
        for order in range(n):
            at = dt.datetime.combine(AS_OF, dt.time(12)) - dt.timedelta(days=int(random.integers(last, first)))
            amount = round(float(random.gamma(3, price)), 2)
            category = ["Wine", "Bread", "DAIRY"][int(random.random() * 3 if order % 2 else profile % 3)]
            lines.append((f"c-{profile}", at, amount, f"{profile}-{order}", category))
    frame = pd.DataFrame(lines, columns=["profile_id", "at", "amount", "order_id", "category"])
    config = {
        "run": {"out": str(tmp_path_factory.mktemp("numbers") / "run"), "as_of": AS_OF},
        "sources": [
            {"name": "orders", "kind": "purchases"},
            {"name": "people", "kind": "crm", "columns": {"age": "age", "tier": "tier"}},
        ],
        "cluster": {"segments": "auto", "segments_range": [2, 5]},
    }
    ids = [f"c-{profile}" for profile in range(150)]
    people = pd.DataFrame({"profile_id": ids, "age": [20 + n % 37 for n in range(150)], "tier": ["gold", "tin"] * 75})
    path: Path = gpuseg.run(config, frames={"orders": frame, "people": people}).path
    return path


@pytest.fixture(scope="module")
def allowed(version: Path) -> set[str]:
    files = [version / name for name in ("segments.json", "quality.json", "explanations.json", "manifest.json")]
    return {form for file in files if file.exists() for form in forms_in(json.loads(file.read_text("utf-8")))}


def forms_in(content: Any) -> Iterator[str]:
    """All ways in which a value of a JSON file, or the length of a list in it, may be written."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from NUMBER.findall(str(key))
            if key not in WRITTEN:
                yield from forms_in(value)
    elif isinstance(content, list):
        yield from forms_of(len(content))
        for value in content:
            yield from forms_in(value)
    elif isinstance(content, str):
        yield from (form.lstrip("0") or "0" for form in NUMBER.findall(content))
        yield from NUMBER.findall(content)
    elif isinstance(content, (int, float)) and not isinstance(content, bool):
        yield from forms_of(abs(content))


def forms_of(value: float) -> Iterator[str]:
    for places in range(4):
        text = f"{value:,.{places}f}"
        yield text
        yield f"{value * 100:.{places}f}%"
        if places:
            yield text.rstrip("0").rstrip(".")
            yield f"{value * 100:.{places}f}".rstrip("0").rstrip(".") + "%"
    for size in (1e6, 1e9):
        yield f"{value / size:.2f}".rstrip("0").rstrip(".")
        yield f"{value / size:.1f}"


class _Text(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.pieces += [value or "" for name, value in attrs if name in ("aria-label", "title", "alt")]

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.pieces.append(data)


def strangers(text: str, allowed: set[str]) -> list[str]:
    """Numbers of a text that no JSON file holds."""
    return [number for number in NUMBER.findall(text) if number not in allowed]


def test_every_number_of_the_report_has_its_twin(version: Path, allowed: set[str]) -> None:
    text = " ".join(_Text((version / "report.html").read_text("utf-8")).pieces)
    assert len(NUMBER.findall(text)) > 300
    # The only limit that a page may name without holding it: shares below it are not written out.
    assert strangers(text.replace("under 0.1%", ""), allowed) == []


def test_every_number_of_the_model_card_has_its_twin(version: Path, allowed: set[str]) -> None:
    text = (version / "MODEL_CARD.md").read_text("utf-8")
    assert len(NUMBER.findall(text)) > 100
    assert strangers(text.replace("under 0.1%", ""), allowed) == []


def test_every_number_in_words_of_a_card_has_its_twin(version: Path, allowed: set[str]) -> None:
    content = json.loads((version / "segments.json").read_text("utf-8"))
    for card in content["segments"]:
        words = [card[key] for key in ("headline", "summary", "who", "does", "worth")]
        words += [trait["phrase"] for trait in card["distinguishing"]]
        words += [f"{action['text']} {action['because']}" for action in card["actions"]]
        assert strangers(" ".join(words).replace("under 0.1%", ""), allowed) == []


@pytest.mark.parametrize("number", ["98,765.43", "73.21%", "4,321"])
def test_a_number_from_nowhere_is_found(number: str, allowed: set[str]) -> None:
    assert strangers(f"They bought {number}, and more", allowed) == [number]


def test_the_page_holds_no_profile(version: Path) -> None:
    for name in ("report.html", "MODEL_CARD.md"):
        assert not re.search(r"c-\d+", (version / name).read_text("utf-8"))
