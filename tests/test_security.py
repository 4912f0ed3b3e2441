"""No module stores or reads a pickle; ruff refuses `eval`, shells, pickles and unsafe YAML."""

import re

from tests.test_architecture import PROJECT, sources


def test_no_module_stores_a_pickle():
    """Prefect stores a result as a pickle unless it is given another serializer."""
    texts = [*sources().values(), *(path.read_text() for path in PROJECT.glob(".ci/*.py"))]
    assert len(texts) > 100
    unsafe = r"(?m)^\s*(import|from) (pickle|cloudpickle|dill|shelve|marshal)\b|allow_pickle=True"
    unsafe += r"|(joblib|torch)\.load"
    unsafe += r"|yaml\.(unsafe_|full_)?load(_all)?\((?!text, _Loader)"  # a SafeLoader of ours
    for text in texts:
        assert not re.search(unsafe, text)
        for options in re.findall(r"persist_result=(?!False)[^)]*", text):
            assert re.search(r"result_serializer=\"(compressed/)?json\"", options)
