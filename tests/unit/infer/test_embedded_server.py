"""llama.cpp's process: how it starts, fails, ends, and is never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imageworks.errors import BackendError
from imageworks.infer import embedded_server
from imageworks.infer.embedded_child import Order
from imageworks.infer.embedded_models import LocalModel
from imageworks.infer.embedded_server import (
    MOST_DEATHS,
    EmbeddedServer,
    EmbeddedServers,
    ServerPlan,
)
from imageworks.infer.transport import ServerConnection

CHECKOUT = Path(__file__).parents[3]
MODEL = LocalModel("Some VLM", Path("/m.gguf"), Path("/p.gguf"), "named", size_bytes=10**9)
PLAN = ServerPlan(MODEL, slots=2, context_tokens=2048, threads=1)
FAKE_CHILD = (sys.executable, "-m", "tests.support.embedded_child")


@pytest.fixture(autouse=True)
def _at_checkout(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    monkeypatch.setattr(embedded_server, "is_runtime_installed", lambda: True)


@pytest.fixture
async def make_server(tmp_path):
    """Makes servers whose child is a line of Python, or the stand-in; ends them."""
    made = []

    def make(code="", **more):
        fake = (*FAKE_CHILD, str(tmp_path / "once"))
        command = (sys.executable, "-c", code) if code else fake
        server = EmbeddedServer(PLAN, tmp_path / "logs", command=command, **more)
        made.append(server)
        return server

    yield make
    for server in made:
        await server.stop()


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pid, limit_s=10.0):
    deadline = time.monotonic() + limit_s
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


# -- plans -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cores", "slots", "threads"),
    [(1, 2, 1), (2, 2, 1), (8, 2, 7), (12, 3, 11), (16, 4, 15), (64, 4, 63)],
)
def test_plan_leaves_a_core_free_and_two_to_four_slots(cores, slots, threads):
    plan = ServerPlan.for_machine(MODEL, cores=cores)

    assert (plan.slots, plan.threads, plan.context_tokens) == (slots, threads, 4096)
    assert plan.load_limit_s == 170


def test_context_is_no_longer_than_the_model_was_trained_for():
    model = LocalModel("x", Path("/m"), Path("/p"), "named", 1, context_tokens=2048)

    assert ServerPlan.for_machine(model).context_tokens == 2048


# -- life ------------------------------------------------------------------------------


async def test_started_server_answers_only_to_its_key(make_server):
    server = make_server()

    generation = await server.ensure()

    assert generation == 1
    assert server.url.startswith("http://127.0.0.1:")
    right = ServerConnection(server.url, api_key=server.api_key, timeout_s=5)
    wrong = ServerConnection(server.url, api_key="guess", timeout_s=5)
    assert (await right.page("/models"))["data"][0]["id"] == "Some VLM"
    with pytest.raises(BackendError):
        await wrong.page("/models")
    await right.aclose()
    await wrong.aclose()


def shown_of(pid):
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


async def test_key_is_not_in_the_list_of_processes(make_server):
    server = make_server()

    await server.ensure()

    assert server.api_key.encode() not in shown_of(server.pid)
    assert len(server.api_key) >= 32


async def test_server_is_started_once_for_many_who_want_it(make_server):
    server = make_server()

    generations = await asyncio.gather(*(server.ensure() for _ in range(5)))

    assert set(generations) == {1}


async def test_server_ends_when_stopped(make_server):
    server = make_server()
    await server.ensure()
    pid = server.pid

    await server.stop()
    await server.stop()

    assert not is_running(pid)
    assert server.pid is None


async def test_killed_server_is_started_again_with_another_key(make_server):
    server = make_server()
    await server.ensure()
    first_key = server.api_key

    os.kill(server.pid, signal.SIGKILL)
    await server.wait_for_end(1)

    assert await server.has_ended(1)
    assert await server.ensure() == 2
    assert server.api_key != first_key
    assert await server.has_ended(1)
    assert not await server.has_ended(2)


async def kill_and_ensure(server):
    os.kill(server.pid, signal.SIGKILL)
    await server.wait_for_end(server.generation)
    return await server.ensure()


async def test_server_that_ends_again_and_again_is_given_up(make_server):
    server = make_server()
    await server.ensure()
    for _ in range(MOST_DEATHS - 1):
        await kill_and_ensure(server)

    with pytest.raises(BackendError, match="3 times without an answer") as caught:
        await kill_and_ensure(server)

    assert caught.value.reason == "out-of-memory"


async def test_answers_between_its_ends_keep_a_server_in_use(make_server):
    server = make_server()
    await server.ensure()

    for number in range(MOST_DEATHS + 1):
        assert await kill_and_ensure(server) == number + 2
        server.answered()


def test_child_ends_with_the_program_that_was_killed(tmp_path):
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from imageworks.infer import embedded_server\n"
        "from tests.unit.infer.test_embedded_server import FAKE_CHILD, PLAN\n"
        "embedded_server.is_runtime_installed = lambda: True\n"
        "async def main():\n"
        f"    folder = Path({str(tmp_path)!r})\n"
        "    server = embedded_server.EmbeddedServer(PLAN, folder, command=(*FAKE_CHILD, 'x'))\n"
        "    await server.ensure()\n"
        "    print(server.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()

    wait_until_gone(pid)


def test_child_that_loads_and_cannot_listen_ends_with_the_program_too():
    child = (
        "import os, time; from imageworks.infer.embedded_child import _die_with\n"
        "_die_with(os.getppid()); print(os.getpid(), flush=True); time.sleep(60)"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
        wait_until_gone(pid)


def test_child_whose_program_is_gone_before_it_begins_ends_at_once():
    code = "from imageworks.infer.embedded_child import _die_with; _die_with(1); print('here')"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20, check=True)

    assert done.stdout == b""


# -- failures --------------------------------------------------------------------------

SAYS = "import sys; sys.stdin.readline(); sys.stderr.write({said!r}); "


@pytest.mark.parametrize(
    ("code", "reason", "parts"),
    [
        ("raise SystemExit(3)", "server-ended", ["exit status 3", "unknown model architecture"]),
        ("import os; os.kill(os.getpid(), 9)", "out-of-memory", ["want of memory"]),
        ("import os; os.kill(os.getpid(), 4)", "server-ended", ["lacks instructions"]),
        ("import os; os.kill(os.getpid(), 6)", "server-ended", ["signal 6"]),
        ('print(\'{"error": "RuntimeError"}\')', "server-ended", ["cannot run /m.gguf"]),
    ],
)
async def test_failed_start_tells_cause_and_last_words(make_server, code, reason, parts):
    said = "one\n0.00.1 E load: unknown model architecture: 'x'\n"
    server = make_server(SAYS.format(said=said) + code)

    with pytest.raises(BackendError) as caught:
        await server.ensure()

    assert caught.value.reason == reason
    for part in [*parts, "load: unknown model architecture: 'x'"]:
        assert part in caught.value.message
    assert server.pid is None


async def test_want_of_memory_is_read_from_the_log(make_server):
    said = "0.00.1 E ggml: failed to allocate buffer of size 99999\n"
    server = make_server(SAYS.format(said=said) + "raise SystemExit(1)")

    with pytest.raises(BackendError) as caught:
        await server.ensure()

    assert caught.value.reason == "out-of-memory"
    assert "smaller model" in caught.value.hint


async def test_server_that_does_not_get_ready_is_ended(make_server):
    server = make_server("import sys; sys.stdin.read()", load_limit_s=0.3)

    with pytest.raises(BackendError, match="not loaded within") as caught:
        await server.ensure()

    assert caught.value.reason == "loading"
    assert server.pid is None


async def test_child_that_does_not_let_go_is_killed(make_server, monkeypatch):
    monkeypatch.setattr(embedded_server, "_LEAVING_TIME_S", 0.1)
    server = make_server("import time; time.sleep(60)", load_limit_s=0.1)

    with pytest.raises(BackendError, match="not loaded within"):
        await server.ensure()


async def test_server_that_loads_but_does_not_answer_is_no_server(make_server, dead_url):
    url = dead_url.removesuffix("/v1")
    server = make_server(f'print(\'{{"url": "{url}"}}\', flush=True); input(); input()')

    with pytest.raises(BackendError):
        await server.ensure()

    assert server.pid is None


async def test_missing_extra_is_told_before_anything_starts(make_server, monkeypatch):
    monkeypatch.setattr(embedded_server, "is_runtime_installed", lambda: False)
    server = make_server()

    with pytest.raises(BackendError) as caught:
        await server.ensure()

    assert caught.value.reason == "no-runtime"
    assert "[embedded]" in caught.value.hint


async def test_last_words_are_few_and_harmless(make_server, tmp_path):
    server = make_server()
    assert server.last_words() == ""
    (tmp_path / "logs").mkdir()
    lines = [f"line {number}" for number in range(5000)] + ["\x1b[2J red", "", "end"]
    (tmp_path / "logs" / f"embedded-{os.getpid()}.log").write_text("\n".join(lines))

    assert server.last_words() == "line 4999 / \\x1b[2J red / end"


async def test_logs_of_long_ago_are_removed(make_server, tmp_path):
    old, recent = tmp_path / "logs" / "embedded-1.log", tmp_path / "logs" / "embedded-2.log"
    old.parent.mkdir()
    old.touch()
    recent.touch()
    os.utime(old, (1, 1))

    await make_server().ensure()

    assert not old.exists()
    assert recent.exists()


# -- sharing ---------------------------------------------------------------------------


async def test_engines_for_one_model_share_its_server(tmp_path):
    servers = EmbeddedServers(
        tmp_path, make=lambda plan, logs: EmbeddedServer(plan, logs, command=(*FAKE_CHILD, "x"))
    )
    first, second = servers.borrow(PLAN), servers.borrow(PLAN)
    await first.ensure()

    assert first is second
    await servers.give_back(first)
    assert not await second.has_ended(1)
    await servers.give_back(second)
    assert second.pid is None
    assert servers.borrow(PLAN) is not first


def test_order_survives_its_way():
    order = Order("/m", "/p", "Näme\n", "key", 2, 4096, 3, 77)

    assert Order.from_line(order.to_line()) == order
    assert order.to_line().count(b"\n") == 1
