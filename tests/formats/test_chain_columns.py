"""Many lines of a chain at once are what they are one by one, and as wrong."""

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import FileFormatError, InputError
from symlump.formats.chains import columns, read_tra, tra
from symlump.formats.source import Source, read_pieces
from symlump.store.chains import convert_chain


def chain(text, kind=None):
    return read_tra(Source("c.tra", text), chain=kind)


def outcome(source, kind="dtmc"):
    """What a text is, or why it is nothing."""
    try:
        model = read_tra(source, chain=kind)
    except InputError as problem:
        return str(problem)
    return model.ode, model.notes


def one_by_one(text, kind="dtmc"):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tra, "read_columns", lambda *_: None)
        return outcome(Source("c.tra", text), kind)


NUMBERS = st.one_of(
    st.decimals(0, 10**6, allow_nan=False, places=6).map(str),
    st.integers(0, 10**20).map(str),
    st.floats(0, 1e6).map(repr),
    st.fractions(0, 100).map(str),
    st.sampled_from(
        ["1.", ".5", "00.50", "1e-05", "2E3", "123456789.123456789", "0.1234567890123456789"]
    ),
)
BLANKS = st.sampled_from([" ", " ", " ", "\t", "  "])


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(
        st.tuples(st.integers(1, 3000), BLANKS, st.integers(1, 3000), BLANKS, NUMBERS), min_size=1
    ),
    end=st.sampled_from(["", "\n", "\n\n", " \n"]),
)
def test_many_lines_at_once_are_read_as_one_by_one(lines, end):
    text = f"STATES 3000\nTRANSITIONS {len(lines)}\n"
    text += "\n".join("".join(map(str, line)) for line in lines) + end
    expected = one_by_one(text)
    assert len(expected) == 2 and outcome(Source("c.tra", text)) == expected
    assert outcome(Source("c.tra", text), "ctmc") == one_by_one(text, "ctmc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_CHUNK", 40)
        assert outcome(Source("c.tra", text)) == expected


WORDS = st.one_of(
    st.text("0123456789", min_size=1, max_size=14),
    st.text("0123456789.-/e", min_size=1, max_size=22),
    st.sampled_from([".", "1.", ".5", "-.5", "5/0", "1e9", "1e99999", "１", "0" * 13 + "1", "1\x0b2"]),
    st.sampled_from(["9" * 19, "12345678.5", "1234567890", "123456789012.", "0.12345678901234567"]),
)  # fmt: skip
BETWEEN = st.sampled_from([" ", " ", " ", "\t", "  ", "\n", "\n\n", " \n", "\x0c", "\xa0", ""])


@settings(max_examples=400, deadline=None)
@given(
    body=st.lists(st.tuples(st.sampled_from("0123"), st.sampled_from("0123"), WORDS), max_size=5),
    broken=st.lists(st.tuples(WORDS, BETWEEN), max_size=4),
    at=st.integers(0, 5),
    first=st.integers(0, 1),
)
def test_lines_of_any_kind_are_read_or_refused_alike(body, broken, at, first):
    lines = [" ".join(line) + "\n" for line in body]
    lines.insert(at, "".join(map("".join, broken)))
    head = f"STATES 9\nTRANSITIONS {len(body)}\n" if first else "ctmc\n0 1 1\n"
    text = head + "".join(lines)
    for kind in ("dtmc", "ctmc"):
        assert outcome(Source("c.tra", text), kind) == one_by_one(text, kind)


@pytest.mark.parametrize("most", [26, 30, 40, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "STATES 3\nTRANSITIONS 4\n1 2 0.5\n1 2 0.25\n2 3 1\n3 1 1/3\n",
        "3 3\n0 1 0.5 left\n1 2 1 go\n2 0 1e-3 back\n",
        "ctmc\n\n\n0 1 3\n\n \n1 0 0.125\n\n\n",
        "ctmc\r\n0 1 3\r\n1 0 .\r\n",
        "STATES 3\nTRANSITIONS 2\n1 2 0.5\n1 4 0.25\n",
        "2 3\n0 1 0.5\n1 0 1\n",
        "STATES 3\nTRANSITIONS 0",
        "3 1\n0 1 0.5 left",
        "3 2\n0 1 0.5 left\n1 2 1 go",
        "2 2 2\n0 0 1 0.5",
        "0 1 3",
    ],
)
def test_pieces_are_read_as_the_whole(tmp_path, text, most):
    """The places that errors name, too; the head is in the first piece."""
    path = tmp_path / "c.tra"
    path.write_bytes(text.encode())
    assert outcome(read_pieces(path, most=most), None) == outcome(Source.read(path), None)


@pytest.mark.parametrize("text", ["", "\n", "\n \n", " "])
def test_an_empty_file_is_empty_from_its_first_line_on(tmp_path, text):
    (tmp_path / "c.tra").write_text(text)
    with pytest.raises(FileFormatError, match=r"c\.tra:1:1: the file is empty"):
        sl.read(tmp_path / "c.tra")


def test_a_file_is_read_in_pieces(tmp_path, monkeypatch):
    path = tmp_path / "c.tra"
    lines = [f"{k} {(k * 7) % 5000} {1 + k % 9}.{k % 1000:03d}\n" for k in range(5000)]
    path.write_text("ctmc\n" + "".join(lines))
    model = sl.read(path)
    again = read_tra(Source.read(path))
    assert model.ode == again.ode and model.notes == again.notes
    assert path.stat().st_size > 2**16 and model.name == "c"
    path.write_text("ctmc\n" + "".join(lines) + "5 x 1\n")
    with pytest.raises(InputError, match=r"c\.tra:5002:1: expected 'from to probability'"):
        sl.read(path)


def test_decimals_are_over_one_power_of_ten():
    read = chain("dtmc\n0 1 0.3333\n1 0 0.25\n1 1 0.75\n")
    assert list(map(str, read.ode.coefficients)) == ["1/4", "3333/10000", "3/4"]
    assert set(read.ode.coefficients.denominators.tolist()) == {10_000}


@pytest.mark.parametrize(
    "line",
    ["1 2", "1 2 3 4", "x 2 3", "1 x 3", "1 2 x", "1 2 1..2", "1 2 .", "1 2 -", "1 2 0x1", "1 2 1_0", "1 2 ²",
     "1 2 nan", "12345678901234567 2 1", "1 2 --1", "1 2 1e", "1 2 3;", "1/2 2 3"],
)  # fmt: skip
@pytest.mark.parametrize("other", ["0.5", "1"])  # with decimals beside it, and among whole numbers
def test_lines_that_are_none_are_not_read_at_once(line, other):
    text = f"STATES 3\nTRANSITIONS 3\n1 2 {other}\n{line}\n2 3 {other}\n"
    with pytest.raises(FileFormatError, match=r"^c\.tra:4:1: "):
        chain(text)


def test_the_collector_waits_only_while_a_file_is_read(tmp_path):
    """Whether it ends well or not, and it stays off where it was off."""
    path, wrong = tmp_path / "c.tra", tmp_path / "no.tra"
    path.write_text("ctmc\n0 1 3\n")
    wrong.write_text("ctmc\n0 1 3\n0 x 1\n")
    assert gc.isenabled()
    sl.read(path)
    with pytest.raises(FileFormatError):
        sl.read(wrong)
    assert gc.isenabled()
    gc.disable()
    try:
        sl.read(path)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_conversion_takes_names_of_actions_and_says_where_numbers_are_wrong(tmp_path):
    pytest.importorskip("duckdb")
    path = tmp_path / "c.tra"
    path.write_text("2 2\n0 1 0.5 left\n1 0 1 go\n")
    store, _ = convert_chain(path, tmp_path / "store")
    assert store.model().ode == sl.read(path).ode
    path.write_text("2 3\n0 1 0.5\n1 0 1\n")
    with pytest.raises(FileFormatError, match=r"c\.tra:1:3: 3 transitions announced, 2 in"):
        convert_chain(path, tmp_path / "other")
