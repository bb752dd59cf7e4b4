"""Files that other tools translate first: Antimony into SBML, BNGL into a BioNetGen network.

For files that nothing here translates, :func:`export_of` says what to export from which tool.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from symlump.errors import FileFormatError, MissingExtraError
from symlump.formats.source import Source, quote

#: Suffixes of what is translated.
SUFFIXES = {".ant": "antimony", ".bngl": "bngl"}
#: What format comes of it, and what is said about that.
BECOMES = {
    "antimony": ("sbml", "translated into SBML by antimony"),
    "bngl": ("bionetgen", "its network was made by BioNetGen; its actions were not done"),
}
SECONDS = 600

_IMPORT = re.compile(r'^[ \t]*import[ \t]+"', re.MULTILINE)
_BLOCK = re.compile(r"^[ \t]*begin[ \t]+(\w+(?:[ \t]+\w+)?)[ \t]*(?:#[^\n]*)?$", re.MULTILINE)
_PRISM = "prism MODEL -exporttrans model.tra -exportlabels model.lab"
_EXPORTS = {
    ".cellml": "CellML: translate it into SBML, for instance with sbtranslate (of Antimony) or JSim",
    ".omex": "a COMBINE archive: unzip it, and read the SBML model in it",
    ".sedml": "an experiment in SED-ML: read the SBML model that it names",
    ".cps": "a file of COPASI: export SBML there (File, Export SBML)",
    ".vcml": "a file of Virtual Cell: export SBML there (File, Export)",
    ".sbproj": "a project of SimBiology: sbmlexport(model, 'model.xml') in MATLAB",
    ".drn": f"a file of Storm: from a PRISM model, {_PRISM} writes what is read",
    ".nnet": "a network in the format NNet: translate it into ONNX (nnet2onnx, of NNet), which symlump reads",
    ".m": "a program of MATLAB: write its equations as text (.txt), x' = -k*x",
    ".lab": "labels of a Markov chain: read the chain (.tra) with them, --labels",
    ".sta": "the states of a Markov chain: read the chain (.tra) with them, --states",
    **dict.fromkeys(
        (".pm", ".sm", ".nm", ".prism"), f"a model of PRISM: {_PRISM} writes what is read"
    ),
    **dict.fromkeys(
        (".srew", ".trew", ".rew"),
        "rewards of a Markov chain: read the chain (.tra) with them, --rewards",
    ),
    **dict.fromkeys(
        (".h5", ".keras"), "a file of Keras or HDF5: of a network, export ONNX, which symlump reads"
    ),
}


def export_of(suffix: str) -> str | None:
    """What a file with this suffix is, and what to export from which tool; None if that is not known.

    Examples
    --------
    >>> export_of(".omex")
    'a COMBINE archive: unzip it, and read the SBML model in it'
    """
    return _EXPORTS.get(suffix)


def translate(source: Source, format: str) -> Source:
    """The same model in the format of :data:`BECOMES`.

    Raises
    ------
    MissingExtraError
        If the tool is not installed.
    FileFormatError
        If it refuses the file.
    """
    return _sbml(source) if format == "antimony" else _network(source)


def _sbml(source: Source) -> Source:
    try:
        import antimony
    except ImportError:
        raise MissingExtraError(
            f"{source.path}: Antimony is translated into SBML by the package antimony: "
            "pip install 'symlump[antimony]'"
        ) from None
    other = _IMPORT.search(source.text)
    if other is not None:
        raise source.error(other.start(), "other files (import) are not read")
    antimony.clearPreviousLoads()
    if antimony.loadAntimonyString(source.text) < 0:
        problem = " ".join(antimony.getLastError().split())
        raise FileFormatError(f"{source.path}: antimony says: {quote(problem, 300)}")
    text = antimony.getSBMLString(antimony.getMainModuleName())
    return Source(f"{source.path}: translated by antimony", text)


def _network(source: Source) -> Source:
    script = _bionetgen()
    perl = shutil.which("perl")
    if script is None or perl is None:
        missing = "pip install 'symlump[bngl]'" if script is None else "it needs perl"
        raise MissingExtraError(
            f"{source.path}: rules (BNGL) are expanded into a network by the package bionetgen: {missing}; "
            "or write the .net file with BioNetGen's generate_network({overwrite=>1})"
        )
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "model.bngl"
        # What the file asks to be done (its actions) is not done: only its network is made.
        rules.write_text(_model_only(source) + "\ngenerate_network({overwrite=>1})\n", "utf-8")
        command = [perl, str(script), "--outdir", folder, str(rules)]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise FileFormatError(
                f"{source.path}: BioNetGen made no network in {SECONDS} s; the network may be infinite"
            ) from None
        network = Path(folder) / "model.net"
        if done.returncode or not network.exists():
            lines = (done.stdout + done.stderr).strip().splitlines()
            said = [line for line in lines if "ERROR" in line or "ABORT" in line] or lines[-1:]
            raise FileFormatError(
                f"{source.path}: BioNetGen says: {quote(' '.join(said), 300)}"
            ) from None
        return Source(f"{source.path}: made a network by BioNetGen", network.read_text("utf-8"))


def _bionetgen() -> Path | None:
    """BNG2.pl in the package bionetgen."""
    spec = importlib.util.find_spec("bionetgen")
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.glob("bng-linux/BNG2.pl"))
    return found[0] if found else None


def _model_only(source: Source) -> str:
    """The blocks of a file, without the actions around them."""
    parts, position = [], 0
    while (begin := _BLOCK.search(source.text, position)) is not None:
        name = re.escape(begin[1]).replace(r"\ ", r"[ \t]+")
        end = re.compile(rf"^[ \t]*end[ \t]+{name}\b[^\n]*$", re.MULTILINE).search(
            source.text, begin.end()
        )
        if end is None:
            raise source.error(begin.start(), f"{quote(begin[0].strip())} is never closed")
        if begin[1] != "actions":
            parts.append(source.text[begin.start() : end.end()])
        position = end.end()
    if not parts:
        raise source.error(0, "expected 'begin model'")
    return "\n".join(parts)
