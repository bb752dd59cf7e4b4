"""The tolerances of a model file on the command line: what does not fit is said before the work."""

import pytest
from test_lump_command import TREE

from symlump.cli.main import main

BAD = {
    "no numbers": (["--eps", "1,x"], "not a list of numbers"),
    "negative": (["--eps", "-1"], "eps=-1.0"),
    "not a number": (["--eps", "nan"], "eps=nan"),
    "twice": (["--eps", "1", "--breakpoints"], "leave --eps out"),
    "breakpoints of a diameter": (["--breakpoints", "--linkage", "diameter"], "closure"),
    "horizon": (["--horizon", "-1"], "horizon=-1.0"),
    "share without a horizon": (["--spread", "0.1"], "--horizon"),
    "negative share": (["--spread", "-1", "--horizon", "1"], "--spread -1.0"),
    "share that is no number": (["--spread", "nan", "--horizon", "1"], "--spread nan"),
    "inputs of a network": (["--box", "0", "1"], "--box belongs to networks"),
    "no folder": (["--csv", "{folder}/no/s.csv"], "there is no folder"),
    "folder": (["--csv", "{folder}"], "is a folder"),
    "another picture": (["--picture", "{folder}/s.pdf"], ".png"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_message(capsys, tmp_path, case):
    arguments, says = BAD[case]
    (tmp_path / "m.ode").write_text(TREE)
    arguments = [argument.format(folder=tmp_path) for argument in arguments]
    assert main(["sweep", str(tmp_path / "m.ode"), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and says in captured.err
    assert captured.err.startswith("symlump: ") and captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["m.ode"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--horizon", "1"],
        ["--breakpoints"],
        ["--spread", "1"],
        ["--relative"],
        ["--method", "backward"],
        ["--initial", "one"],
    ],
)
def test_what_belongs_to_systems_is_refused_for_networks(capsys, tmp_path, arguments):
    path = tmp_path / "net.safetensors"
    assert main(["sweep", str(path), *arguments]) == 2
    assert f"{arguments[0]} belongs to systems" in capsys.readouterr().err
