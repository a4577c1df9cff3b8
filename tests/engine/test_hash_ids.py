"""XXH64 of profile ids: it decides buckets and samples, so every device must give the official values."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twins import id_bytes, xxh64

# From the xxHash project and its Go port (cespare/xxhash): text, seed, digest.
OFFICIAL = [
    ("", 0, 0xEF46DB3751D8E999),
    ("", 1, 0xD5AFBA1336A3BE4B),
    ("", 2654435761, 0xAC75FDA2929B17EF),
    ("a", 0, 0xD24EC4F1A98C6E5B),
    ("as", 0, 0x1C330FB2D66BE179),
    ("asd", 0, 0x631C37CE72A97393),
    ("abc", 0, 0x44BC2CF5AD770999),
    ("asdf", 0, 0x415872F599CEA71E),
    ("Call me Ishmael. Some years ago--never mind how long precisely-", 0, 0x02A2E85470D6FD96),
]
TEXT_TYPES = [pa.string(), pa.large_string()]


@pytest.mark.parametrize(("text", "seed", "digest"), OFFICIAL)
def test_official_vectors(device, text, seed, digest):
    assert device.hash_ids(pa.array([text], pa.large_string()), seed).tolist() == [digest]
    assert xxh64(text.encode(), seed) == digest


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**64 - 1])
def test_every_length_to_100(device, kind, seed):
    texts = ["".join(chr(33 + (7 * at + length) % 90) for at in range(length)) for length in range(101)]
    expected = [xxh64(text.encode(), seed) for text in texts]
    assert device.hash_ids(pa.array(texts, kind), seed).tolist() == expected


@given(texts=st.lists(st.text(max_size=40), max_size=20), seed=st.integers(0, 2**64 - 1), start=st.integers(0, 5))
def test_text_of_any_script_and_slices(device, texts, seed, start):
    expected = [xxh64(text.encode(), seed) for text in texts]
    whole = pa.array(texts, pa.large_string())
    assert device.hash_ids(whole, seed).tolist() == expected
    assert device.hash_ids(whole.slice(start), seed).tolist() == expected[start:]
    chunks = pa.chunked_array([whole.slice(0, start), whole.slice(start)])
    assert device.hash_ids(chunks, seed).tolist() == expected


@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30), seed=st.integers(0, 2**64 - 1))
def test_integers_hash_their_eight_bytes(device, values, seed):
    expected = [xxh64(id_bytes(value), seed) for value in values]
    assert device.hash_ids(np.array(values, np.int64), seed).tolist() == expected
    assert device.hash_ids(pa.array(values, pa.int64()), seed).tolist() == expected
    assert device.hash_ids(pa.chunked_array([pa.array(values, pa.int64())]), seed).tolist() == expected


def test_hashes_are_uint64_even_where_there_are_none(device):
    for nothing in (pa.array([], pa.large_string()), pa.array([], pa.int64()), pa.chunked_array([], pa.int64())):
        found = device.hash_ids(nothing, 0)
        assert found.dtype == np.uint64
        assert found.size == 0
