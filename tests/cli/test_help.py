"""Help has examples; the quick commands are quick because they load nothing heavy."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

COMMANDS = ["run", "label", "augment", "sweep", "check", "ls", "cp", "show", "export", "measure", "report", "compare", "verify"]
COMMANDS += ["push", "encode", "predict"]
HEAVY = ("torch", "transformers", "sentence_transformers", "datasets", "onnxruntime", "onnx", "pandas", "pyarrow", "matplotlib")


def test_help_lists_every_command(cli):
    code, out, _ = cli("--help")
    assert code == 0
    listed = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example_on_a_line_of_its_own(cli, command):
    code, out, _ = cli(command, "--help")
    assert code == 0
    examples = [line.strip() for line in out.splitlines() if line.strip().startswith("$ ")]
    assert examples
    assert all(f"distill {command} " in f"{line} " for line in examples)


def test_version(cli):
    import distill

    assert cli("--version") == (0, f"distill {distill.__version__}\n", "")


def test_misspelt_command_and_option_are_named(cli):
    code, _, err = cli("chek", "quickstart")
    assert code == 2
    assert "check" in err
    code, _, err = cli("run", "quickstart", "--forse")
    assert code == 2
    assert "--force" in err


@pytest.mark.parametrize("arguments", [["--help"], ["ls"], ["show", "quickstart"], ["check", "quickstart"]], ids=" ".join)
def test_quick_commands_load_nothing_heavy_and_take_under_a_second(arguments, tmp_path):
    code = f"""
import sys
sys.argv = ["distill", *{arguments!r}]
from distill.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"
    # CPU time: what the command would take on a machine that does nothing else.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


@pytest.mark.parametrize("module", ["distill", "distill.cli", "distill.recipe", "teachers.spec", "students.spec"])
def test_light_modules_load_nothing_heavy(module, tmp_path):
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == ""
