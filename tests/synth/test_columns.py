from gpuseg.synth.columns import FILE_COLUMNS, TEXT, WORDS


def test_every_text_column_has_its_words_and_each_word_once():
    text = {name for columns in FILE_COLUMNS.values() for name, kind in columns.items() if kind == TEXT}
    assert text == set(WORDS)
    assert all(len(set(words)) == len(words) for words in WORDS.values())
