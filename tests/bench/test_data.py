"""Published files: checked before they are used, stored whole or not at all, and every failure says the mend."""

import contextlib
import hashlib
import http.server
import io
import socket
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from semprop.bench import data
from semprop.bench.data import DataSource, data_source, download
from semprop.bench.published import ORIGINS, PUBLISHED, Published
from semprop.engine.errors import DataError, StorageError, UsageError

CONTENT = b'{"question": "1 + 1", "answer": "#### 2"}\n'


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@contextlib.contextmanager
def publisher(pages):
    """A publisher on this machine: path → (status, headers, body). Gives its address and the paths asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, headers, body = pages.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def source(tmp_path, address, digest=None, member=""):
    known = Published(digest or sha256(CONTENT), "here", "train.jsonl", member)
    return DataSource(cache=tmp_path / "cache", origins={"here": address}, files={"set/train.jsonl": known})


def left(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_a_file_is_fetched_once_checked_and_kept(tmp_path):
    told = []
    with publisher({"/train.jsonl": (200, {}, CONTENT)}) as (address, asked):
        where = replace(source(tmp_path, address), announce=told.append)
        assert where.path("set/train.jsonl").read_bytes() == CONTENT
        assert where.path("set/train.jsonl").read_bytes() == CONTENT
    assert asked == ["/train.jsonl"]
    assert told == [f"fetching {address}train.jsonl"]
    assert left(tmp_path) == ["cache/set/train.jsonl"]


def test_a_file_in_the_cache_that_was_damaged_is_fetched_again(tmp_path):
    with publisher({"/train.jsonl": (200, {}, CONTENT)}) as (address, asked):
        where = source(tmp_path, address)
        where.path("set/train.jsonl").write_bytes(CONTENT[:-3])
        assert where.path("set/train.jsonl").read_bytes() == CONTENT
    assert len(asked) == 2


def test_another_file_than_the_published_one_is_never_stored(tmp_path):
    with (
        publisher({"/train.jsonl": (200, {}, b"other")}) as (address, _),
        pytest.raises(DataError, match=rf"has sha256 {sha256(b'other')}, expected {sha256(CONTENT)}.*use --data"),
    ):
        source(tmp_path, address).path("set/train.jsonl")
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ((404, {}, b""), "404"),
        ((500, {}, b""), "500"),
        ((200, {"Content-Length": "9999"}, CONTENT), "IncompleteRead"),
        ((302, {"Location": "http://example.invalid/"}, b""), "not an https address"),
        ((302, {"Location": "file:///etc/hostname"}, b""), r"not an https address|not allowed"),
    ],
)
def test_a_fetch_that_fails_names_address_and_mend_and_leaves_nothing(tmp_path, page, reason):
    with publisher({"/train.jsonl": page}) as (address, _), pytest.raises(DataError, match=reason):
        source(tmp_path, address).path("set/train.jsonl")
    assert left(tmp_path) == []


def test_without_a_network_the_mend_is_a_directory(tmp_path):
    with publisher({}) as (address, _):
        pass
    with pytest.raises(DataError, match=r"cannot be fetched .*holds set/train\.jsonl with --data or SEMPROP_DATA"):
        source(tmp_path, address).path("set/train.jsonl")


def test_a_publisher_that_falls_silent_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        where = replace(source(tmp_path, address), timeout=0.05)
        with pytest.raises(DataError, match="timed out"):
            where.path("set/train.jsonl")


@pytest.mark.parametrize(
    "address", ["http://example.invalid/x", "ftp://example.invalid/x", "file:///etc/hostname", "x"]
)
def test_only_https_is_fetched(address):
    with pytest.raises(DataError, match="https only"):
        download(address, 1.0)


def test_a_body_without_end_is_cut_off():
    with (
        publisher({"/train.jsonl": (200, {}, CONTENT)}) as (address, _),
        pytest.raises(DataError, match="larger than 10 bytes"),
    ):
        download(f"{address}train.jsonl", 5.0, limit=10)


def archive(**members):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as opened:
        for name, content in members.items():
            opened.writestr(f"{name}.tsv", content)
    return body.getvalue()


def archived(tmp_path, address):
    files = {
        f"set/{name}.tsv": Published(sha256(name.encode()), "here", "set.zip", f"{name}.tsv") for name in ("one", "two")
    }
    return DataSource(cache=tmp_path / "cache", origins={"here": address}, files=files)


def test_an_archive_is_fetched_once_for_all_its_files(tmp_path):
    with publisher({"/set.zip": (200, {}, archive(one="one", two="two", three="3"))}) as (address, asked):
        where = archived(tmp_path, address)
        assert where.path("set/one.tsv").read_text() == "one"
        assert where.path("set/two.tsv").read_text() == "two"
    assert asked == ["/set.zip"]
    assert left(tmp_path) == ["cache/set/one.tsv", "cache/set/two.tsv"]


@pytest.mark.parametrize("body", [b"no archive", archive(one="one")])
def test_an_archive_without_the_file_is_refused(tmp_path, body):
    with (
        publisher({"/set.zip": (200, {}, body)}) as (address, _),
        pytest.raises(DataError, match=r"is not an archive that holds (one|two)\.tsv"),
    ):
        archived(tmp_path, address).path("set/one.tsv")


def test_a_cache_whose_place_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "cache").write_text("in the way")
    with (
        publisher({"/train.jsonl": (200, {}, CONTENT)}) as (address, _),
        pytest.raises(StorageError, match=r"cannot be written .*: free space there, or use --data"),
    ):
        source(tmp_path, address).path("set/train.jsonl")


def test_a_file_that_cannot_take_its_place_leaves_no_temporary_file(tmp_path):
    (tmp_path / "cache" / "set" / "train.jsonl").mkdir(parents=True)
    with publisher({"/train.jsonl": (200, {}, CONTENT)}) as (address, _), pytest.raises(StorageError):
        source(tmp_path, address).path("set/train.jsonl")
    assert left(tmp_path) == []


def test_nobody_vouches_for_files_in_the_cache(tmp_path):
    assert DataSource(cache=tmp_path).own() == ()


def test_a_given_directory_is_read_and_nothing_is_fetched(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_bytes(CONTENT)
    where = replace(source(tmp_path, "http://127.0.0.1:1/"), directory=tmp_path)
    assert where.path("set/train.jsonl") == tmp_path / "set" / "train.jsonl"
    assert where.own() == ()


def test_a_file_absent_from_a_given_directory_is_named(tmp_path):
    where = replace(source(tmp_path, "https://publisher.invalid/"), directory=tmp_path)
    with pytest.raises(
        DataError, match=r"train\.jsonl is absent: .*https://publisher\.invalid/train\.jsonl.*leave out"
    ):
        where.path("set/train.jsonl")


def test_a_given_directory_that_is_none_is_named(tmp_path):
    where = DataSource(directory=tmp_path / "gone")
    with pytest.raises(DataError, match=r"gone is not a directory: name one that holds gsm8k/test\.jsonl"):
        where.path("gsm8k/test.jsonl")


def test_another_file_in_a_given_directory_is_refused_with_both_sums(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_bytes(b"mine")
    where = replace(source(tmp_path, "https://publisher.invalid/"), directory=tmp_path)
    with pytest.raises(DataError, match=rf"has sha256 {sha256(b'mine')}, expected {sha256(CONTENT)}.*SHA256SUMS"):
        where.path("set/train.jsonl")


def test_a_file_that_the_user_vouches_for_is_taken_and_told_apart(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_bytes(b"mine")
    (tmp_path / "SHA256SUMS").write_text(f"{sha256(b'mine')} *./set/train.jsonl\n")
    where = replace(source(tmp_path, "https://publisher.invalid/"), directory=tmp_path)
    assert where.path("set/train.jsonl").read_bytes() == b"mine"
    assert where.own() == ("set/train.jsonl",)


def test_a_malformed_list_of_sums_is_named_with_its_line(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_bytes(CONTENT)
    (tmp_path / "SHA256SUMS").write_text("abc set/train.jsonl\n")
    where = replace(source(tmp_path, "https://publisher.invalid/"), directory=tmp_path)
    with pytest.raises(DataError, match=r"SHA256SUMS:1: expected a sha256 and a file name"):
        where.path("set/train.jsonl")


def test_the_command_line_comes_before_the_environment_and_both_before_the_cache(tmp_path):
    other = tmp_path / "other"
    assert data_source(tmp_path, {"SEMPROP_DATA": str(other)}).directory == tmp_path
    assert data_source(None, {"SEMPROP_DATA": str(other)}).directory == other
    assert data_source(None, {"SEMPROP_DATA": ""}).directory is None
    assert data_source(None, {}).cache == data.default_cache()


def test_every_published_file_has_a_whole_sum_and_an_https_origin():
    assert len(PUBLISHED) == 2 + 27 + 3
    assert all(len(known.sha256) == 64 and known.origin in ORIGINS for known in PUBLISHED.values())
    assert len({known.sha256 for known in PUBLISHED.values()}) == len(PUBLISHED)
    assert all(address.startswith("https://") and address.endswith("/") for address in ORIGINS.values())


@pytest.mark.data
def test_all_published_files_are_there_and_whole(published):
    assert all(isinstance(published.path(name), Path) for name in PUBLISHED)
    assert published.own() == ()


def test_a_directory_that_a_task_would_not_read_is_refused_unless_the_environment_names_it_for_all(tmp_path) -> None:
    given, everywhere = data_source(tmp_path, {}), data_source(tmp_path, {"SEMPROP_DATA": str(tmp_path)})
    with pytest.raises(UsageError, match=r"'lookup' reads no published files, so --data .* would change nothing"):
        given.check_read("lookup")
    everywhere.check_read("lookup")
    data_source(None, {}).check_read("lookup")
    with pytest.raises(DataError, match="absent"):
        given.path("gsm8k/train.jsonl")
    given.check_read("gsm8k")
