"""What slow, greedy and dishonest clients get: the steps of e2e/haproxy again, here over the published port."""

from __future__ import annotations

import pytest

from composed import Composed
from test_limits import (  # noqa: F401
    test_a_bare_line_feed_ends_a_line_for_haproxy_and_never_reaches_a_replica,
    test_a_body_of_a_mebibyte_is_taken_and_one_byte_more_is_not,
    test_a_body_that_does_not_end_is_answered_408_after_five_seconds,
    test_a_client_that_sends_far_too_much_sees_why_it_is_refused,
    test_a_head_that_does_not_end_is_answered_408_after_five_seconds,
    test_nothing_is_smuggled,
    test_of_a_refused_client_the_rest_of_its_body_is_read_and_nothing_after_it,
    test_too_large_a_body_is_refused_before_it_is_sent,
    test_too_large_a_chunked_body_is_refused_by_the_replica,
)


@pytest.fixture
def system(composed: Composed) -> Composed:
    if not composed.environment:
        composed.start()
    return composed
