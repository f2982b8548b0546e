"""Ids of requests: clients and server compute the same ones."""

import pytest
from apify.storage_clients._apify._utils import unique_key_to_request_id
from hypothesis import given
from hypothesis import strategies as st

from callboard.request_queues.model import request_id


@pytest.mark.parametrize("unique_key", ["a", "https://example.com", "ключ", "\0", "x" * 10_000])
def test_an_id_has_15_letters_and_digits(unique_key: str):
    assert len(request_id(unique_key)) == 15
    assert request_id(unique_key).isalnum()


@given(st.text(st.characters(codec="utf-8")))
def test_the_python_sdk_computes_the_same_id(unique_key: str):
    assert request_id(unique_key) == unique_key_to_request_id(unique_key)
