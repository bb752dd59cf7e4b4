"""Outputs behave as those of a careful Unix program: whole or absent, and never in the wrong place."""

import ast
import errno
import io
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, load_file, save_file
from test_lump_command import TREE
from torch import nn

import symlump as sl
from symlump import memory
from symlump.cli.main import main
from symlump.errors import MethodError, OutOfMemoryError, OutputError
from symlump.files import check_outputs, check_writable, replacing, write_text
from symlump.memory import memory_errors

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, FIFOs and modes of Unix")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model, a network and a certificate; what temporary files would be left is seen."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.ode").write_text(TREE)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1))
    save_file(net.state_dict(), tmp_path / "n.safetensors")
    sl.lump(sl.read("m.ode").ode, sl.Forward()).certificate().write("c.json")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    yield tmp_path
    assert not list(tmp_path.rglob(".symlump-*"))
    assert not list(scratch.iterdir())


NETWORK = ["n.safetensors", "--activation", "tanh"]
#: Every command that writes a file, with the file to be put last.
WRITERS = {
    "lump -o": ["lump", "m.ode", "--method", "forward", "-o"],
    "lump constrained -o": ["lump", "m.ode", "--method=constrained", "--observable", "x1", "-o"],
    "lump --certificate": ["lump", "m.ode", "--method", "forward", "--certificate"],
    "compress -o": ["compress", *NETWORK, "--eps", "0", "-o"],
    "compress --equations": ["compress", *NETWORK, "--eps", "0", "--equations"],
    "sweep --csv": ["sweep", "m.ode", "--eps", "0", "--csv"],
    "sweep --picture": ["sweep", "m.ode", "--eps", "0", "--picture"],
    "report -o": ["report", "m.ode", "--eps", "0", "-o"],
    "export -o": ["export", "c.json", "--coq", "-o"],
    "loader -o": ["loader", "-o"],
}
SUFFIX = {"lump -o": ".ode", "lump constrained -o": ".ode", "compress -o": ".safetensors"}
SUFFIX |= {"sweep --picture": ".png", "report -o": ".html"}


def target(writer):
    return "out" + SUFFIX.get(writer, ".txt")


def content(writer, data):
    """Bytes to compare; of tensors without their metadata, whose order is open."""
    return sorted(map(str, load(data).items())) if writer == "compress -o" else data


@pytest.mark.parametrize("writer", WRITERS)
class TestEveryWriter:
    def test_mode_and_links_stay(self, folder, writer, capsys):
        real, link = folder / "real", Path(target(writer))
        real.write_text("before")
        real.chmod(0o640)
        link.symlink_to(real)
        assert main([*WRITERS[writer], str(link)]) == 0
        assert link.is_symlink() and real.read_bytes() != b"before"
        assert stat.S_IMODE(real.stat().st_mode) == 0o640
        if os.getuid() == 0:
            os.chown(real, 12345, 54321)
            assert main([*WRITERS[writer], str(link)]) == 0
            status = real.stat()
            assert (status.st_uid, status.st_gid) == (12345, 54321)
            assert stat.S_IMODE(status.st_mode) == 0o640

    def test_a_new_file_follows_the_umask(self, folder, writer, capsys):
        old = os.umask(0o027)
        try:
            assert main([*WRITERS[writer], target(writer)]) == 0
        finally:
            os.umask(old)
        assert stat.S_IMODE(os.stat(target(writer)).st_mode) == 0o640

    def test_a_fifo_gets_the_content_and_stays(self, folder, writer, capsys):
        assert main([*WRITERS[writer], target(writer)]) == 0
        expected = Path(target(writer)).read_bytes()
        fifo = "fifo" + SUFFIX.get(writer, "")
        os.mkfifo(fifo)
        read = []
        reader = threading.Thread(target=lambda: read.append(Path(fifo).read_bytes()))
        reader.start()
        assert main([*WRITERS[writer], fifo]) == 0
        reader.join(30)
        assert content(writer, read[0]) == content(writer, expected)
        assert stat.S_ISFIFO(os.stat(fifo).st_mode)

    def test_standard_output_takes_the_file_alone(self, folder, writer, capsysbinary):
        assert main([*WRITERS[writer], target(writer)]) == 0
        expected = Path(target(writer)).read_bytes()
        capsysbinary.readouterr()
        for name in ("-", "/dev/stdout"):
            assert main([*WRITERS[writer], name]) == 0
            out, error = capsysbinary.readouterr()
            assert content(writer, out) == content(writer, expected)
            assert bool(error) != writer.startswith(("export", "loader"))  # the report

    def test_a_full_disk_is_one_line(self, folder, writer, capsys):
        if not os.path.exists("/dev/full"):
            pytest.skip("no /dev/full")
        os.symlink("/dev/full", target(writer))
        assert main([*WRITERS[writer], target(writer)]) == 1
        one_line(capsys, "No space left on device", target(writer))
        assert stat.S_ISCHR(os.stat("/dev/full").st_mode)

    def test_a_file_that_outgrows_its_limit_leaves_the_old_one(self, folder, writer, capsys):
        """As on a full disk, but of regular files: the limit is 16 bytes."""
        old = folder / target(writer)
        old.write_text("before")
        before = sorted(folder.rglob("*"))
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, limit[1]))
        try:
            assert main([*WRITERS[writer], old.name]) == 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        error = one_line(capsys, f"cannot write {old.name}")
        assert "File too large" in error or "os error 27" in error
        assert old.read_text() == "before"
        assert sorted(folder.rglob("*")) == before

    @pytest.mark.parametrize(
        ("place", "says"),
        [("no/{}", "there is no folder"), ("dir", "it is a folder"), ("loop", "symbolic links")],
    )
    def test_what_cannot_be_written_is_said_before_the_work(
        self, folder, writer, place, says, capsys, monkeypatch
    ):
        def nothing(*arguments, **options):
            raise AssertionError("the work began")

        (folder / "dir").mkdir()
        (folder / "loop").symlink_to("loop")
        for name in ("symlump.formats.read", "symlump.network.state_dict.read_network"):
            monkeypatch.setattr(name, nothing)
        assert main([*WRITERS[writer], place.format(target(writer))]) == 1
        one_line(capsys, says)

    def test_no_permission(self, folder, writer, capsys, monkeypatch):
        (folder / target(writer)).write_text("before")
        real = os.access  # root may do everything, so it is told here that it may not
        monkeypatch.setattr(
            "symlump.files.os.access",
            lambda path, mode: not str(path).endswith(target(writer)) and real(path, mode),
        )
        assert main([*WRITERS[writer], target(writer)]) == 1
        one_line(capsys, "Permission denied")

    def test_a_folder_that_takes_no_new_files(self, folder, writer, capsys, monkeypatch):
        """A file in it is written to where it stands, if there is room."""
        closed = folder / "closed"
        closed.mkdir()
        out = closed / target(writer)
        out.write_text("before")
        out.chmod(0o646)
        node, real = out.stat().st_ino, os.access
        monkeypatch.setattr(
            "symlump.files.os.access", lambda path, mode: Path(path) != closed and real(path, mode)
        )

        def full(*arguments):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr("symlump.files.os.posix_fallocate", full)
            assert main([*WRITERS[writer], str(out)]) == 1
        one_line(capsys, "No space left on device")
        assert out.read_text() == "before"
        assert main([*WRITERS[writer], str(out)]) == 0
        assert main([*WRITERS[writer], target(writer)]) == 0
        expected = Path(target(writer)).read_bytes()
        assert content(writer, out.read_bytes()) == content(writer, expected)
        assert out.stat().st_ino == node and stat.S_IMODE(out.stat().st_mode) == 0o646

    def test_an_input_is_overwritten_only_by_force(self, folder, writer, capsys):
        arguments = WRITERS[writer]
        if writer == "loader -o":
            pytest.skip("it reads no file")
        source = Path(arguments[1])
        content = source.read_bytes()
        hard, soft = "hard" + source.suffix, "soft" + source.suffix
        os.link(source, hard)
        os.symlink(source, soft)
        for name in (source, f"./{source}", source.resolve(), hard, soft):
            assert main([*arguments, str(name)]) == 2
            one_line(capsys, "would overwrite", "--force")
        assert source.read_bytes() == content
        if SUFFIX.get(writer, source.suffix) == source.suffix:
            assert main([*arguments, str(source), "--force"]) == 0
            assert source.read_bytes() != content


def one_line(capsys, *says):
    error = capsys.readouterr().err
    assert error.startswith("symlump: ") and error.count("\n") == 1, error
    for part in says:
        assert part in error, error
    return error


def symlump(*arguments, **options):
    """Run it in a process of its own."""
    environment = options.pop("env", os.environ)
    return subprocess.run(
        [sys.executable, "-m", "symlump", *map(str, arguments)],
        capture_output=True,
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
        **options,
    )


def test_data_and_model_may_not_be_the_output(folder, capsys):
    Path("d.csv").write_text("1,2,3\n")
    arguments = ["compress", *NETWORK, "--eps", "0", "--data", "d.csv", "--equations", "d.csv"]
    assert main(arguments) == 2
    one_line(capsys, "--equations d.csv would overwrite the data")
    assert main(["lump", "m.ode", "--method=forward", "-o", "a.ode", "--certificate", "a.ode"]) == 2
    one_line(capsys, "--output and --certificate are the same file")
    assert main(["lump", "m.ode", "--method=forward", "-o", "-", "--certificate", "-"]) == 2
    one_line(capsys, "are the same file")
    assert main(["lump", "m.ode", "--method=forward", "-o", "-", "--json"]) == 2
    one_line(capsys, "--json both write to standard output")


def test_the_file_behind_standard_input_is_an_input(folder):
    content = Path("m.ode").read_bytes()
    for name, force, code in (("m.ode", [], 2), ("b.ode", [], 0), ("m.ode", ["--force"], 0)):
        with open("m.ode", "rb") as stdin:
            done = symlump("lump", "-", "--method", "forward", "-o", name, *force, stdin=stdin)
        assert done.returncode == code, done.stderr
        if code:
            assert b"--output m.ode would overwrite the file that is read" in done.stderr
            assert Path("m.ode").read_bytes() == content
    assert Path("m.ode").read_bytes() == Path("b.ode").read_bytes() != content


def test_pipes_of_commands(folder):
    reduced = symlump("lump", "m.ode", "--method", "forward", "--initial", "one", "-o", "-")
    Path("small.ode").write_bytes(reduced.stdout)
    assert len(sl.read("small.ode").ode) == 3 and "→".encode() in reduced.stderr
    network = symlump("compress", *NETWORK, "--eps", "0", "-o", "-")
    assert load(network.stdout).keys() == load_file("n.safetensors").keys()


def test_folders_of_certificates_and_of_the_demonstration(folder, capsys):
    Path("file").write_text("")
    assert main(["compress", *NETWORK, "--eps", "0", "--certificates", "file/x"]) == 1
    one_line(capsys, "cannot make the folder file/x")
    assert main(["demo", "--out", "file"]) == 1
    one_line(capsys, "cannot make the folder file")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_temporary_files_go_away_on_signals(folder, name):
    """The signal comes while a file is half written."""
    program = (
        "import pathlib, signal, sys, time\n"
        "import symlump.files, symlump.proof.certificate\n"
        # whatever the tests themselves were started with, as under nohup
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "def slowly(self, data):\n"
        "    self.open('wb').write(data[:9])\n"
        "    print(self, flush=True)\n"
        "    time.sleep(60)\n"
        "pathlib.Path.write_bytes = slowly\n"
        "from symlump.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    Path("out.txt").write_text("before")
    process = subprocess.Popen(
        [sys.executable, "-c", program, *WRITERS["lump --certificate"], "out.txt"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    temporary = Path(process.stdout.readline().strip())
    assert temporary.exists() and temporary.parent == folder
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + getattr(signal, name)
    assert "have been removed" in error and error.count("\n") == 1
    assert not temporary.exists() and Path("out.txt").read_text() == "before"


def test_an_ignored_signal_stays_ignored(folder):
    """As under nohup."""
    script = "trap '' HUP; exec \"$@\""
    process = subprocess.Popen(
        ["sh", "-c", script, "sh", sys.executable, "-c", IGNORING],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert out == "Terminated(15)\n"


IGNORING = """
import time
from symlump.cli.signals import Terminated, ending_on_signals
try:
    with ending_on_signals():
        print("ready", flush=True)
        time.sleep(60)
except Terminated as error:
    print(f"Terminated({error.number})")
"""

ENCODINGS = ["ascii", "cp1252", "latin-1", "cp437", "utf-8"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "arguments",
    [
        ["lump", "π.ode", "--method", "backward", "--eps", "0.01"],
        ["show", "π.ode", "--json"],
        ["lump", "π.ode", "--method", "forward", "-o", "ε.ode"],
        ["lump", "nothing.ode", "--method", "→"],
        ["sweep", "ε\udcff.ode"],
    ],
    ids=lambda arguments: arguments[0] + " " + arguments[-1].encode("ascii", "replace").decode(),
)
def test_every_encoding_shows_something(folder, encoding, arguments, monkeypatch):
    (folder / "π.ode").write_text(TREE.replace("x4", "x4_α"), encoding="utf-8")
    streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr("sys.stdout", streams[0])
    monkeypatch.setattr("sys.stderr", streams[1])
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code
    for stream in streams:
        stream.flush()
    out, error = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    assert code == (0 if "π.ode" in arguments else 2)
    assert bool(out) == (code == 0) and bool(error) == (code == 2)
    if "--json" in arguments:
        report = json.loads(out)
        assert report["equations"][0]["variable"] == "x1" and report["partition"][0] == ["x4_α"]
    elif encoding == "ascii" and code == 0:
        assert "variables by" in out and "->" in out
    if "ε.ode" in arguments:
        assert "x4_α" in Path("ε.ode").read_text(encoding="utf-8")


def test_the_encoding_of_a_process(folder):
    done = symlump(
        *("lump", "m.ode", "--method", "forward"), env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0 and b"4 -> 3 variables by forward equivalence" in done.stdout


def test_a_reader_that_goes_away_is_no_error(folder):
    for command in ("show m.ode --json", "lump --help", "lump m.ode --method forward -o -"):
        script = f"{sys.executable} -m symlump {command} | true"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(["sh", "-c", script], capture_output=True, env=environment)
        report = b"lumped from" in done.stderr  # with -o - the report is on standard error
        assert done.returncode == 0 and (done.stderr == b"" or report), done.stderr


def test_standard_output_full_or_closed(folder):
    python = f"{sys.executable} -m symlump"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for command in ("show m.ode", "--help", "lump m.ode --method forward -o -"):
        done = subprocess.run(
            ["sh", "-c", f"{python} {command} > /dev/full"], capture_output=True, env=environment
        )
        assert done.returncode == 1, command
        lines = done.stderr.decode().splitlines()
        assert [line.startswith("symlump: cannot write ") for line in lines] == [True], lines
        done = subprocess.run(
            ["sh", "-c", f"{python} {command.replace('-o -', '')} >&-"],
            capture_output=True,
            env=environment,
        )
        assert done.returncode == 0 and done.stderr == b"", done.stderr


def test_memory_that_does_not_suffice(folder):
    """120 000 terms: their file may be read, and then a limit on the address space is reached."""
    text = "".join(
        f"d(x{i}) = {' + '.join(f'{j + 1}*x{j}' for j in range(i, i + 60))}\n" for i in range(2000)
    )
    start = "".join(f"x{i} = 1\n" for i in range(2060))
    rest = "".join(f"d(x{i}) = 0\n" for i in range(2000, 2060))
    Path("big.ode").write_text(
        f"begin model big\nbegin init\n{start}end init\nbegin ODE\n{text}{rest}end ODE\nend model\n"
    )
    program = (
        "import resource, sys, symlump.lumping.lump, symlump.formats\n"
        "from symlump.cli.main import main\n"
        "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + 2**25, taken + 2**25))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "lump", "big.ode", "--method", "forward"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("symlump: out of memory: ")
    assert "under a limit of" in done.stderr and "ulimit -v" in done.stderr


ASKED = "Unable to allocate 9.00 GiB for an array with shape (3,) and data type float64"

VERBS = """
anneal bound_difference breakpoints compress conditions conserved decode draw draw_blocks draw_refinement
draw_trajectories encode explain_reduction from_torch hierarchy lump lump_family nearest_parameters reachable
read read_onnx search simulate surrogate sweep to_dot to_mermaid to_torch with_surrogates write write_onnx
write_program
"""


class Full:
    """What cannot be turned into an array for want of memory."""

    def __array__(self, *_, **__):
        raise MemoryError(ASKED)


def test_every_verb_says_what_memory_it_lacked():
    # the context manager that turns MemoryError into a message wraps each of them
    assert [verb for verb in VERBS.split() if not hasattr(getattr(sl, verb), "__wrapped__")] == []
    net = sl.Network.dense([[[1.0, 2.0], [3.0, 4.0]], [[0.5, 0.25]]])
    small = sl.compress(net, sl.AFDE(eps=0.0))
    for ask in (
        lambda: sl.bound_difference(net, net, (Full(), 1)),
        lambda: sl.reachable(net, (Full(), 1)),
        lambda: small.bound((Full(), 1)),
    ):
        with pytest.raises(
            OutOfMemoryError, match=r"9\.00 GiB were asked for at once, with .* taken"
        ):
            ask()


@pytest.mark.parametrize("option", [[], ["--verified"]])
def test_memory_that_does_not_suffice_refutes_no_certificate(folder, monkeypatch, capsys, option):
    """Exit code 1 is that of a claim that is wrong."""

    def full(*_, **__):
        raise MemoryError(ASKED)

    monkeypatch.setattr(sl.Certificate, "check_verified" if option else "check", full)
    assert main(["check", "c.json", *option]) == 3
    said = capsys.readouterr()
    assert said.out.startswith("inconclusive: out of memory: 9.00 GiB were asked for at once, with")
    assert said.out.count("\n") == 1 and not said.err


def test_memory_taken_to_the_last_byte(folder):
    """Objects too small for numpy to complain about: what is set aside suffices for the message."""
    program = (
        "import resource, sys\n"
        "from symlump.errors import OutOfMemoryError\n"
        "from symlump.memory import memory_errors\n"
        "def fill():\n"
        "    kept = None\n"
        "    for size in [2**k for k in range(20, 9, -1)] + list(range(512, 0, -16)):\n"
        "        try:\n"
        "            while True:\n"
        "                kept = (kept, bytes(size))\n"
        "        except MemoryError:\n"
        "            pass\n"
        "    raise MemoryError\n"
        "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + 2**25, taken + 2**25))\n"
        "try:\n"
        "    with memory_errors():\n"
        "        fill()\n"
        "except OutOfMemoryError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr[:2000]
    assert done.stdout.startswith("out of memory: more was asked for than there is")


@pytest.mark.parametrize(
    "work", [lambda: np.zeros(2**57), lambda: torch.empty(2**57, dtype=torch.float64)]
)
def test_memory_in_the_library(work):
    with (
        pytest.raises(OutOfMemoryError, match=r"1(\.00)? EiB were asked for at once"),
        memory_errors(),
    ):
        work()
    with pytest.raises(MemoryError, match="more was asked for than there is"), memory_errors():
        raise MemoryError
    for error in (
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libx.so: failed to map segment from shared object"),
    ):
        with pytest.raises(MemoryError, match="more was asked for than there is"), memory_errors():
            raise error
    for error in (RuntimeError("another"), OSError(errno.EPERM, "another"), ImportError("another")):
        with pytest.raises(type(error), match="another"), memory_errors():
            raise error


def test_memory_where_the_system_does_not_say_how_much_is_taken(monkeypatch):
    """Some kernels tell less of a process than Linux does."""
    monkeypatch.setattr(memory, "_limits", lambda: {"VmSize": 2**40})
    monkeypatch.setattr(memory, "open", lambda *_, **__: io.StringIO("Name: x\n"), raising=False)
    with pytest.raises(OutOfMemoryError, match="with an unknown amount taken"), memory_errors():
        raise MemoryError
    assert memory.available_memory() <= 2**40 and memory.peak_memory() > 0


#: Calls that write a file, and where they stand: in a temporary folder, or in a block of `replacing`.
WRITING = {"write_text", "write_bytes", "savefig", "save_file", "savetxt", "tofile", "save"}
ALLOWED = {
    "files.py": {"write_bytes"},
    "bench/speed/growing_modules.py": {"save"},  # in a temporary folder
    "bench/speed/growing_pictures.py": {"savefig"},  # into memory
    "display/drawing.py": {"savefig"},
    "compression/annealing/result.py": {"savefig"},
    "network/saved/tensors.py": {"save", "save_file"},
    "network/saved/program.py": {"save"},
    "proof/coq/development.py": {"write_text"},
    "bench/start.py": {"write_text"},
    "formats/translated.py": {"write_text"},
    "memory.py": {"write_text"},  # to the system, which counts anew
    "store/writing.py": {"save"},  # into a folder that symlump.files puts in place
    "store/cluster.py": {"save"},  # into a temporary folder
    "bench/store/engines.py": {"save"},  # the same
}


def test_one_place_writes_files():
    """A new writer calls symlump.files, or says here why it need not."""
    package = Path(sl.__file__).parent
    for path in package.rglob("*.py"):
        name = path.relative_to(package).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            function = node.func
            called = getattr(function, "attr", None) or getattr(function, "id", None)
            own = isinstance(function, ast.Name) and called in ("write_text", "write_bytes")
            if called in WRITING and not own and not _is_own_save(function):
                assert called in ALLOWED.get(name, ()), (name, node.lineno, called)
            if called == "open" and isinstance(function, ast.Name):
                modes = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
                assert name in ("files.py", "cli/answer.py") or not set("".join(modes)) & set("wax")


def _is_own_save(function):
    """``self.save(state)`` of an annealing run, which writes a checkpoint."""
    return isinstance(function, ast.Attribute) and (
        isinstance(function.value, ast.Name) and function.value.id == "self"
    )


def test_the_library_says_the_same(tmp_path):
    with pytest.raises(OutputError, match="there is no folder"):
        write_text(tmp_path / "no" / "a.txt", "")
    with pytest.raises(OutputError, match="without a name"):
        check_writable("")
    with pytest.raises(OutputError, match="not a Unicode character"):
        write_text(tmp_path / "a.txt", "\udc80")
    with pytest.raises(OutputError, match="embedded null (byte|character)"):
        write_text(tmp_path / "a\0.txt", "")
    with pytest.raises(OutputError, match="File name too long"):
        write_text(tmp_path / ("a" * 300), "")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        1 / 0  # noqa: B018
    assert not list(tmp_path.iterdir())
    write_text(tmp_path / ("a" * 255), "long")  # the longest name there is
    (tmp_path / "read only").mkdir()
    with pytest.raises(MethodError, match="would overwrite b"):
        check_outputs({"--x": tmp_path / "n"}, {"a": "m", "b": tmp_path / "no" / ".." / "n"})
    check_outputs({"--x": tmp_path / "n"}, {"b": tmp_path / "n"}, force=True)
