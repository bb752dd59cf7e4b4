"""Files from a folder, the cache, or a server that may do anything."""

import gzip
import hashlib
import io
import socket
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from symlump.datasets import regression
from symlump.datasets.fetch import PublicFile, cache_folder, content_digest, locate, read_text
from symlump.errors import FailureError, FileFormatError

TEXT = b"a,b\n1,2\n"
FILE = PublicFile("small.csv", "", "small.csv", hashlib.sha256(TEXT).hexdigest())


def zipped(content: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            # The time of now would be in it: workers would disagree on the names of tests that are given it.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Answers every request with ``body``, announcing ``promised`` bytes."""

    body = b""
    status = 200
    promised: int | None = None
    requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/archive.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        self.send_response(self.server.status)
        promised = self.server.promised
        self.send_header(
            "Content-Length", str(len(self.server.body) if promised is None else promised)
        )
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SYMLUMP_DATA", raising=False)
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def left_in_cache() -> list[str]:
    return [path.name for path in cache_folder().iterdir()] if cache_folder().is_dir() else []


def test_a_file_is_downloaded_once(server):
    server.body = zipped({"small.csv": TEXT})
    public = replace(FILE, url=server.url)
    path = locate(public)
    assert path == cache_folder() / "small.csv" and read_text(path) == TEXT.decode()
    assert locate(public) == path and server.requests == 1
    assert content_digest(public) == FILE.digest and left_in_cache() == ["small.csv"]


def test_a_file_is_kept_packed_if_its_name_says_so(server):
    server.body = zipped({"small.csv": TEXT})
    path = locate(replace(FILE, name="small.csv.gz", url=server.url))
    assert gzip.decompress(path.read_bytes()) == TEXT


def test_a_bad_checksum_is_refused(server):
    server.body = zipped({"small.csv": TEXT + b"3,4\n"})
    with pytest.raises(FailureError, match=r"not what is expected .*SYMLUMP_DATA"):
        locate(replace(FILE, url=server.url))
    assert left_in_cache() == []


@pytest.mark.parametrize("cut", [0, 1, 60])
def test_an_interrupted_download_leaves_nothing_and_is_made_good(server, cut):
    whole = zipped({"small.csv": TEXT})
    server.body, server.promised = whole[: len(whole) - 1 - cut], len(whole)
    public = replace(FILE, url=server.url)
    with pytest.raises(FailureError, match=f"ended after {len(whole) - 1 - cut} of {len(whole)}"):
        locate(public)
    assert left_in_cache() == []
    server.body = whole
    assert locate(public).is_file()


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"not a zip file", 200, "is not in what came"),
        (zipped({"other.csv": TEXT}), 200, "is not in what came"),
        (b"gone", 404, "Not Found"),
        (zipped({"small.csv": TEXT})[:-30] + b"x" * 30, 200, "small.csv"),
    ],
    ids=["no archive", "another member", "nothing there", "damaged"],
)
def test_other_answers_are_explained(server, body, status, says):
    server.body, server.status = body, status
    with pytest.raises(FailureError, match=says) as caught:
        locate(replace(FILE, url=server.url))
    assert server.url in str(caught.value) and str(cache_folder()) in str(caught.value)
    assert left_in_cache() == []


def test_offline_is_said_clearly(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SYMLUMP_DATA", raising=False)
    with socket.socket() as unused:  # bound and not listening: nobody answers
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/archive.zip"
        with pytest.raises(FailureError, match="could not be downloaded") as caught:
            locate(replace(FILE, url=url))
    for part in ("small.csv", url, str(tmp_path), "SYMLUMP_DATA"):
        assert part in str(caught.value)


def test_a_folder_comes_first(server, tmp_path, monkeypatch):
    server.body = zipped({"small.csv": TEXT})
    public = replace(FILE, url=server.url)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "small.csv").write_text("x\n")
    assert locate(public, folder) == folder / "small.csv"
    monkeypatch.setenv("SYMLUMP_DATA", str(folder))
    assert locate(public) == folder / "small.csv" and server.requests == 0
    (folder / "small.csv").unlink()
    assert locate(public) == cache_folder() / "small.csv" and server.requests == 1
    with pytest.raises(FileFormatError, match="is not a folder"):
        locate(public, tmp_path / "nowhere")


def test_a_digest_follows_the_file(tmp_path):
    (tmp_path / "small.csv").write_bytes(TEXT)
    assert content_digest(FILE, tmp_path) == FILE.digest
    (tmp_path / "small.csv").write_bytes(TEXT + b"3,4\n")
    assert content_digest(FILE, tmp_path) != FILE.digest


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "bad.csv.gz"
    for damaged in (b"no gzip", gzip.compress(TEXT)[:-4], gzip.compress(b"\xff\xfe")):
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"bad\.csv\.gz cannot be read"):
            read_text(path)


@pytest.mark.parametrize("public", [regression.ABALONE, regression.PROTEIN, regression.METRO])
def test_what_the_repository_publishes_becomes_what_is_kept(shared, server, public):
    """The published members, made again from the kept files, convert to the expected digests."""
    kept = shared / "data" / public.name
    data = kept.read_bytes()
    if public is regression.ABALONE:
        data = data.split(b"\n", 1)[1]
    server.body = zipped({public.member: data})
    path = locate(replace(public, url=server.url))
    assert read_text(path) == read_text(kept)


def test_the_expected_digests_are_those_of_the_kept_files(shared):
    for public in (
        regression.ABALONE,
        regression.PROTEIN,
        regression.METRO,
        regression.HOUSEHOLD_POWER,
    ):
        assert content_digest(public, shared / "data") == public.digest
