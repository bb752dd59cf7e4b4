"""All example models of other projects, where they are present."""

import time
from dataclasses import replace

import numpy as np
import pytest
from example_models import FOLDER, example, manifest, read_answer_blocks

from symlump import formats
from symlump.ode.maps import in_time

FILES = sorted(
    str(path.relative_to(FOLDER))
    for path in FOLDER.glob("*/**/*")
    if path.suffix in (".ode", "._ode", ".tra")
)


@pytest.mark.parametrize("name", [f for f in FILES if "/rational/" not in f])
def test_polynomial_models_read(name, tmp_path):
    model = formats.read(example(name), parameters="symbolic")
    assert len(model.ode) > 0
    assert set(model.initial_values) == set(model.ode.variables)
    if model.partition is not None:
        assert sorted(v for block in model.partition for v in block) == sorted(model.ode.variables)
    if model.ode.terms < 3000:
        text = model  # of a chain in discrete time the map; its matrix is written as derivatives on purpose
        model = replace(model, ode=in_time(model.ode, False))
        formats.write(model, tmp_path / "copy.ode")
        again = formats.read(tmp_path / "copy.ode", parameters="symbolic")
        assert again.ode == model.ode
        assert again.initial_values == model.initial_values
        assert again.partition == model.partition
        assert (again.observables, again.other_views) == (model.observables, model.other_views)
        read_as_text(text, tmp_path / "copy.txt")


@pytest.mark.parametrize("name", [f for f in FILES if "/rational/" in f])
def test_rational_models_are_read(name, tmp_path):
    model = formats.read(example(name))
    assert "inverse" in model.ode.generators.functions
    formats.write(model, tmp_path / "again.ode")
    assert formats.read(tmp_path / "again.ode").ode == model.ode
    read_as_text(model, tmp_path / "again.txt")


def read_as_text(model, path):
    """Equations as text are the same system; parameters without a value come first, and names that cannot
    be typed are others."""
    formats.write(model, path)
    again = formats.read(path, parameters="symbolic")
    assert len(again.ode) == len(model.ode) and again.ode.terms == model.ode.terms
    if all(name.isidentifier() for name in model.ode.variables):
        order = np.array([again.ode.index[name] for name in model.ode.variables], dtype=np.int64)
        assert again.ode.reordered(order) == model.ode
        assert again.initial_values == model.initial_values


@pytest.mark.parametrize("row", manifest(), ids=lambda row: row["file"])
def test_numbers_of_variables(row):
    name, constants, expected = row["file"], row.get("constants", ""), int(row["variables"])
    if "/rational/" in name:
        pytest.skip("counted otherwise there")
    if "exact_polynomial" in name:
        # Parameters count here, except those that occur nowhere.
        ode = formats.read(example(name), parameters="symbolic").ode
        found = len({*ode.monomials.variables.tolist(), *ode.rows.tolist()})
    elif constants.startswith("species with zero derivative replaced"):
        # In these rows the manifest counts the species that were dropped.
        model = formats.read(example(name), constants="values")
        found = len(model.dropped)
        assert int(row["blocks"]) <= len(model.ode) == len(formats.read(example(name)).ode) - found
    elif not constants and name.startswith(("partition/clue_Protein", "partition/clue_fceri")):
        found = len(formats.read(example(name), constants="values").ode)
    else:
        found = len(formats.read(example(name)).ode)
    assert found == expected


@pytest.mark.parametrize(
    "row", [r for r in manifest() if "answer_file" in r], ids=lambda r: r["answer_file"]
)
def test_answers_partition_the_variables(row):
    answer, model = example(row["answer_file"]), formats.read(example(row["file"]))
    if answer.suffix == ".csv":  # one representative per state
        representatives = answer.read_text().split()
        assert len(representatives) == len(model.ode)
        assert len(set(representatives)) == int(row["blocks"])
        return
    blocks = read_answer_blocks(answer)
    assert len(blocks) == int(row["blocks"]) == len(formats.read(answer).ode)
    assert sorted(v for block in blocks for v in block) == sorted(model.ode.variables)


def test_reading_is_fast():
    path = example("constrained/exact_polynomial/ProteinPhosphorylation_6.ode")
    start = time.process_time()
    formats.read(path)
    speed = path.stat().st_size / 1e6 / (time.process_time() - start)
    assert speed > 1.0, f"{speed:.2f} MB/s"  # far below what is usual, for busy machines
