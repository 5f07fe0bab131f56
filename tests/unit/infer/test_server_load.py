"""What a server's metrics page says about its queue."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.infer.server_load import ServerLoad, read_load

EXAMPLES = Path(__file__).parents[4] / "shared" / "tools" / "inference" / "examples"
needs_examples = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no recorded exchanges here")

VLLM = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="m",engine="0"} 3.0
vllm:num_requests_running{model_name="m",engine="1"} 2.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{model_name="m",engine="0"} 7.0
vllm:num_requests_waiting_by_reason{engine="0"} 99
"""
LLAMA = "llamacpp:requests_processing 4\nllamacpp:requests_deferred 8\n"
LMDEPLOY = "lmdeploy:num_requests_running 1\nlmdeploy:num_requests_waiting 0 1700000000000\n"


@pytest.mark.parametrize(
    ("page", "load"),
    [
        (VLLM, ServerLoad(5, 7)),
        (LLAMA, ServerLoad(4, 8)),
        (LMDEPLOY, ServerLoad(1, 0)),
        ("process_cpu_seconds_total 3\n", None),
        ("vllm:num_requests_running 3\n", None),
        ("llamacpp:requests_processing e\nllamacpp:requests_deferred 1\n", None),
        ("llamacpp:requests_processing 1e999\nllamacpp:requests_deferred 1\n", None),
    ],
)
def test_running_and_waiting_are_read_from_each_servers_page(page, load):
    assert read_load(page) == load


@given(st.text(alphabet="vllm:num_requests_waiting running{}\n 0123.e+"))
def test_any_page_is_read_without_an_error(page):
    load = read_load(page)

    assert load is None or (load.running >= 0 and load.waiting >= 0)


@needs_examples
@pytest.mark.parametrize("name", ["vllm_metrics.txt", "llamacpp_metrics.txt"])
def test_recorded_pages_tell_their_load(name):
    assert read_load((EXAMPLES / name).read_text()) is not None
