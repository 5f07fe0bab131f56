"""The command line: defaults, errors, generated help, and what it must not import."""

from __future__ import annotations

import contextlib
import io
import shlex
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from imageworks.cli import main
from imageworks.cli.app import COMMANDS, build_parser, with_default_command
from imageworks.cli.doctor import filesystem_of
from imageworks.cli.flags import setting_flags_of
from imageworks.config import setting_specs
from imageworks.errors import ExitStatus

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["review"]),
        (["photos"], ["review", "photos"]),
        (["--store", "x"], ["review", "--store", "x"]),
        (["run", "-i", "x"], ["run", "-i", "x"]),
        (["--help"], ["--help"]),
        (["list-registry"], ["list-registry"]),
    ],
)
def test_review_is_the_default_command(words, expected):
    assert with_default_command(words) == expected


def test_only_given_flags_become_settings():
    options = build_parser().parse_args(
        ["run", "-i", "a", "--input-dir", "b", "--max-keywords", "3", "--no-recursive", "--no-meta"]
    )

    assert setting_flags_of(options) == {
        "input_paths": ["a", "b"],
        "max_keywords": "3",
        "recursive": False,
        "no_meta": True,
    }


def test_every_flag_of_the_contract_exists_on_run():
    flags = (
        "--input -i --input-dir --recursive --no-recursive --image-exts --backend --base-url"
        " --api-key --timeout --model --caption-model --keyword-model --description-model"
        " --use-registry --registry-path --caption-role --keyword-role --description-role"
        " --prompt-profile --max-keywords --max-new-tokens --temperature --top-p --batch-size"
        " --max-workers --preflight --no-preflight --dry-run --no-meta --backup-originals"
        " --no-backup-originals --overwrite-metadata --sidecar --review-later --redo --limit"
        " --output-jsonl --summary --metrics --store --json --quiet"
    )

    text = subprocess.run(
        [sys.executable, "-m", "imageworks", "run", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    missing = [flag for flag in flags.split() if flag not in text]
    assert missing == []


def test_version_is_one_everywhere(capsys):
    assert main(["--version"]) == 0

    newest = next(
        line.split()[1]
        for line in (CHECKOUT / "CHANGELOG.md").read_text("utf-8").splitlines()
        if line.startswith("## ")
    )
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    assert capsys.readouterr().out == f"ptag {project['version']}\n"
    assert newest == project["version"] == version("imageworks-personal-tagger")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run --until 25:00", "--until: '25:00' is no time of day such as 07:00."),
        ("run --limit 0", "--limit: '0' is no whole number from 1"),
        ("undo --last -3", "--last: '-3' is no whole number from 1"),
        ("run --bogus\x1b[2J", "unrecognized arguments: --bogus"),
        ("status --store", "--store: expected one argument"),
    ],
)
def test_a_wrong_command_line_is_told_in_a_line_and_a_hint(words, said, capsys):
    assert main(words.split(" ")) == ExitStatus.USAGE

    complaint, hint = capsys.readouterr().err.splitlines()
    assert complaint.startswith("ptag: ")
    assert said in complaint
    assert "\x1b" not in complaint
    assert "ptag COMMAND --help" in hint


@pytest.mark.parametrize("words", ["--help", "status --bogus", "status"])
def test_a_pipe_that_closes_ends_no_more_than_the_reading_of_words(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usual = signal.getsignal(signal.SIGPIPE)

    with contextlib.suppress(SystemExit):
        main(words.split())

    assert signal.getsignal(signal.SIGPIPE) == usual == signal.SIG_IGN


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["status", "run --help"])
def test_closed_streams_lead_nowhere(words, closed, tmp_path):
    command = f"exec {shlex.quote(sys.executable)} -m imageworks {words} {closed}"

    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["run --help", "status", "--help", "profiles", "models"])
def test_commands_never_import_the_screen(command, tmp_path):
    code = (
        "import sys; from imageworks.cli import main\n"
        f"try: main({command.split()!r})\nexcept SystemExit: pass\n"
        "heavy = {'textual', 'rich', 'textual_image'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("word", ["models", "list-registry"])
def test_a_command_does_not_wait_for_the_others(word, tmp_path):
    code = (
        "import sys; from imageworks.cli import main\n"
        f"try: main([{word!r}, '--help'])\nexcept SystemExit: pass\n"
        "others = {f'imageworks.cli.{name}' for name in ('demo', 'doctor', 'review', 'status')}\n"
        "sys.exit(str(others & set(sys.modules)) if others & set(sys.modules) else 0)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert "--registry-path" in result.stdout  # it has its own arguments


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_the_same_words_with_and_without_the_others(command):
    def usage(first: str) -> str:
        with pytest.raises(SystemExit), contextlib.redirect_stdout(io.StringIO()) as shown:
            build_parser(first).parse_args([command, "--help"])
        return shown.getvalue()

    assert usage(command) == usage("")


def test_importing_the_command_line_imports_nothing_heavy():
    code = (
        "import sys, imageworks.cli\n"
        "sys.exit(str({'textual', 'PIL', 'httpx', 'pyexiv2', 'argparse'} & set(sys.modules)) or 0)"
    )

    result = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.stderr.strip() in {"", "set()"}


def test_each_command_says_what_it_does():
    for name, command in COMMANDS.items():
        assert command.help, name
        assert set(command.settings) <= set(setting_specs()), name


def test_generated_pages_are_current():
    result = subprocess.run(
        [sys.executable, "scripts/reference", "--check"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout


def test_no_committed_file_names_a_registry_host():
    hosts = ("files.python" + "hosted.org", "pypi" + ".org", "deb.debian" + ".org")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=False
    ).stdout
    paths = [CHECKOUT / name.decode() for name in listed.split(b"\0") if name]

    for path in paths:
        if path.is_file() and path.suffix not in {".onnx", ".svg", ".png"}:
            text = path.read_text("utf-8", errors="replace")
            assert not any(host in text for host in hosts), path


def test_the_file_system_of_a_path_is_told():
    assert filesystem_of(Path("/proc/self")) == "proc"
    assert filesystem_of(Path("/no/such/place")) != "proc"
