"""Saved networks from strangers: each file ends in a network or in one clear line."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import symlump as sl
from symlump.errors import FileFormatError, NetworkError, SymlumpError
from symlump.network.saved.writing import write_network
from symlump.network.state_dict import read_network


def chain(**more):
    torch.manual_seed(0)
    return {
        "0.weight": torch.randn(3, 2),
        "0.bias": torch.randn(3),
        "2.weight": torch.randn(1, 3),
    } | more


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


MANY = torch.zeros(1).expand(10**6, 10**6)
STRANGE = {
    "on no device": (chain(x=torch.empty(3, device="meta")), "on the device meta"),
    "sparse": (chain(**{"0.weight": torch.eye(3).to_sparse()}), "stored as torch.sparse_coo"),
    "repeated numbers": (chain(**{"0.weight": MANY}), "repeats numbers"),
    "complex bias": (chain(**{"0.bias": torch.zeros(3, dtype=torch.complex64)}), "complex64"),
    "convolution": (chain(**{"0.weight": torch.zeros(3, 2, 1)}), r"shape \(3, 2, 1\)"),
    "scalar weight": (chain(**{"0.weight": torch.tensor(1.0)}), "is a matrix"),
    "group out of range": (chain(**{"1.groups": torch.tensor([0, 1, 2**60])}), "below 3"),
    "negative group": (chain(**{"1.groups": torch.tensor([0, -1, 1])}), "below 3"),
    "groups of a scalar": (
        chain(**{"0.weight": torch.tensor(1.0), "1.groups": torch.zeros(3, dtype=torch.int64)}),
        "1.groups gives each",
    ),
    "coefficients in a table": (chain(**{"1.coefficients": torch.ones(2, 2)}), "not a row of"),
    "many coefficients": (chain(**{"1.coefficients": torch.ones(10_000)}), "not a row of"),
    "digits that are no numbers": (chain(**{"²2.x": torch.ones(1)}), "not belong to a dense layer"),
    "line break in a name": (chain(**{"0\n.x": torch.ones(1)}), "not belong to a dense layer"),
    "long name": (chain(**{"a" * 100_000: torch.ones(1)}), "aaa…"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_strange_tensors_are_refused(tmp_path, case):
    tensors, says = STRANGE[case]
    torch.save(tensors, tmp_path / "net.pt")
    with pytest.raises(SymlumpError, match=says) as caught:
        read_network(tmp_path / "net.pt", "tanh")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_tied_weights_are_read(tmp_path):
    square = torch.randn(3, 3)
    torch.save({f"{i}.weight": square for i in range(20)}, tmp_path / "net.pt")
    assert len(read_network(tmp_path / "net.pt", "tanh").network.chain.layers) == 20


def test_a_long_activation_is_cut(tmp_path):
    path = tmp_path / "net.SafeTensors"
    save_file(chain(), path, {"symlump.activation": "relu" * 100_000})
    with pytest.raises(NetworkError, match="name of 400000 characters") as caught:
        read_network(path)
    assert len(str(caught.value)) < 200


def test_compressed_archives_are_refused_unread(tmp_path):
    """A kilobyte could unpack to a gigabyte."""
    torch.save(chain(), tmp_path / "net.pt")
    with (
        zipfile.ZipFile(tmp_path / "net.pt") as given,
        zipfile.ZipFile(tmp_path / "small.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in given.namelist():
            packed.writestr(name, given.read(name))
    with pytest.raises(FileFormatError, match="holds compressed parts"):
        read_network(tmp_path / "small.pt", "tanh")


@pytest.mark.parametrize("archive", [True, False])
def test_nothing_is_executed(tmp_path, archive):
    touched = tmp_path / "touched"
    torch.save(chain(x=Touch(touched)), tmp_path / "a.pt", _use_new_zipfile_serialization=archive)
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Touch(touched)))
    for name in ("a.pt", "b.pt"):
        with pytest.raises(FileFormatError, match="can run code"):
            read_network(tmp_path / name, "tanh")
    assert not touched.exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "keys",
    [("state_dict",), ("model",), ("model_state_dict",), ("model", "state_dict"), ("ema", "model")],
)
def test_checkpoints_of_training_scripts(tmp_path, keys, dtype):
    """The weights beside an epoch and an optimizer's state, with the prefix of a parallel module."""
    content = {f"module.{name}": tensor.to(dtype) for name, tensor in chain().items()}
    for key in reversed(keys):
        content = {key: content, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "net.pt")
    saved = read_network(tmp_path / "net.pt", "tanh")
    assert saved.prefixes == ("module.0", "module.2")
    assert f"torch.{saved.network.dtype}" == str(dtype)
    assert saved.network.parameters == 12


def test_averages_are_read_where_a_checkpoint_holds_nothing_else(tmp_path):
    trained, averaged = chain(), {name: tensor + 1 for name, tensor in chain().items()}
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 2), torch.nn.Tanh(), torch.nn.Linear(2, 2, bias=False)
    )
    swa = torch.optim.swa_utils.AveragedModel(model)
    for key in ("ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "params_ema"):
        for content, expected in (
            ({key: averaged, "step": 7}, averaged["0.weight"]),
            ({key: averaged, "model": trained}, trained["0.weight"]),
            ({key: swa.state_dict()}, model[0].weight),
        ):
            torch.save(content, tmp_path / "net.pt")
            network = read_network(tmp_path / "net.pt", "tanh").network
            assert np.array_equal(network.layers[0].weight, expected.detach().double().numpy())


def test_the_names_and_shapes_of_keras_and_flax(tmp_path):
    """Kernels are inputs × units, and go back as such under the names they had."""
    plain = chain()
    for name, ending, parts in (
        ("params/Dense_{}/{}", "", ("kernel", "bias")),
        ("dense_{}.{}", ":0", ("kernel", "bias")),
        ("layers/dense_{}/vars/{}", "", (0, 1)),
    ):
        held = {}
        for number, place in enumerate("02"):
            kernel = plain[f"{place}.weight"].T.contiguous()
            held[name.format(number, parts[0]) + ending] = kernel
            if not number:
                held[name.format(number, parts[1]) + ending] = plain["0.bias"]
        save_file(held, tmp_path / "in.safetensors")
        saved = read_network(tmp_path / "in.safetensors", "tanh")
        for layer, place in zip(saved.network.layers, "02", strict=True):
            assert np.array_equal(layer.weight, plain[f"{place}.weight"].double().numpy())
        write_network(tmp_path / "out.safetensors", saved.network, saved)
        again = load_file(tmp_path / "out.safetensors")
        assert again.keys() == held.keys()
        assert all(torch.equal(again[key], held[key]) for key in held)


def test_what_keras_numbered_is_refused_where_numbers_do_not_tell(tmp_path):
    held = {f"bn/vars/{k}": torch.ones(4) for k in range(3)} | {"dense/vars/0": torch.ones(3, 4)}
    save_file(held, tmp_path / "in.safetensors")
    with pytest.raises(
        FileFormatError, match=r"bn/vars/0 is, its number does not tell.*gamma, beta"
    ):
        read_network(tmp_path / "in.safetensors", "tanh")


class Named(torch.nn.Module):
    """Its layers are not in the order of their names."""

    def __init__(self, *sizes):
        super().__init__()
        for name, before, after in zip(("into", "hidden", "final"), sizes, sizes[1:], strict=False):
            self.add_module(name, torch.nn.Linear(before, after))


def test_layers_stand_in_the_order_of_the_file_or_of_their_shapes(tmp_path):
    for sizes in ((3, 4, 5, 2), (3, 3, 3, 3)):
        torch.save(Named(*sizes).state_dict(), tmp_path / "net.pt")
        assert read_network(tmp_path / "net.pt", "tanh").prefixes == ("into", "hidden", "final")
    save_file(Named(3, 4, 5, 2).state_dict(), tmp_path / "net.safetensors")  # sorted by name
    assert read_network(tmp_path / "net.safetensors", "tanh").prefixes == (
        "into",
        "hidden",
        "final",
    )
    save_file(Named(3, 3, 3, 3).state_dict(), tmp_path / "net.safetensors")  # any order would do
    assert read_network(tmp_path / "net.safetensors", "tanh").prefixes == (
        "final",
        "hidden",
        "into",
    )


def test_what_a_state_dict_cannot_say_is_sent_elsewhere(tmp_path):
    nn = torch.nn
    model = nn.Sequential(nn.Linear(3, 4), nn.Conv1d(4, 4, 1), nn.ReLU(), nn.Linear(4, 2))
    torch.save(model.state_dict(), tmp_path / "net.pt")
    with pytest.raises(NetworkError, match=r"1\.weight has shape .* from the module itself"):
        read_network(tmp_path / "net.pt", "relu")


def test_a_written_chain_is_rebuilt_by_torch_alone(tmp_path):
    """From the architecture in its file, as the documentation says."""
    for like in (False, True):
        torch.save(Named(3, 4, 5, 2).state_dict(), tmp_path / "net.pt")
        saved = read_network(tmp_path / "net.pt", "leaky_relu:0.1", "sigmoid")
        path = tmp_path / "small.safetensors"
        write_network(path, saved.network, saved if like else None)
        with safe_open(path, "pt") as file:
            layers = json.loads(file.metadata()["architecture"])
        model = torch.nn.Sequential(
            *(getattr(torch.nn, kind)(**options) for kind, options, _ in layers)
        )
        tensors, parts = load_file(path), ("weight", "bias")
        state = {
            f"{i}.{part}": tensors[f"{prefix}.{part}"]
            for i, (_, _, prefix) in enumerate(layers)
            for part in parts
            if prefix
        }
        model.load_state_dict(state)
        x = torch.randn(5, 3)
        assert np.allclose(model(x).detach().numpy(), saved.network(x.numpy()), atol=1e-6)
    write_network(path, sl.Network.dense([[[1.0]], [[1.0]]], activation="sin"))
    with safe_open(path, "pt") as file:
        assert "architecture" not in file.metadata()  # torch has no such module


def test_programs_load_with_torch_alone(tmp_path):
    nn = torch.nn
    convolutional = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    words = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(12, 6), nn.Tanh())
    for model, x in ((convolutional, torch.randn(4, 1, 4, 4)), (words, torch.ones(4, 3).long())):
        network = sl.from_torch(model.eval(), x)
        sl.write_program(network, tmp_path / "net.pt2")
        loaded = torch.export.load(tmp_path / "net.pt2").module()
        assert torch.allclose(loaded(x), model(x), atol=1e-6)
    with pytest.raises(FileFormatError, match="has the suffix .pt2"):
        sl.write_program(network, tmp_path / "net.pt")
