"""`EncryptedFileSystem`: fsspec's own tests, real readers, and what is promised beyond them."""

import contextlib
import errno
import io
import json
import os
import pickle
import subprocess
import threading

import fsspec
import numpy
import pytest
from fsspec.implementations.local import LocalFileSystem, make_path_posix
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.tests import abstract

import envelope_cse as cse
from conftest import ID, KEYS, SECRET, data
from envelope_cse._backends import Changed
from envelope_cse.filesystem import EncryptedFileSystem, register

register()
PRIVATE_KEY, PUBLIC_KEY = str(KEYS / "private_key.pem"), str(KEYS / "public_key.pem")


# fsspec's own tests


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, rsa):
        memory = MemoryFileSystem()
        memory.store.clear()
        memory.pseudo_dirs[:] = [""]
        return EncryptedFileSystem(fs=memory, master_key=rsa)

    @pytest.fixture
    def fs_join(self):
        return lambda *args: "/".join(args)

    @pytest.fixture
    def fs_path(self):
        return ""


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass


class FolderFixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, rsa):
        return EncryptedFileSystem(fs=LocalFileSystem(auto_mkdir=True), master_key=rsa)

    @pytest.fixture
    def fs_join(self):
        return os.path.join

    @pytest.fixture
    def fs_path(self, tmp_path):
        return make_path_posix(str(tmp_path / "remote"))


class TestCopyInFolder(abstract.AbstractCopyTests, FolderFixtures):
    pass


class TestGetFromFolder(abstract.AbstractGetTests, FolderFixtures):
    pass


class TestPutIntoFolder(abstract.AbstractPutTests, FolderFixtures):
    pass


# Files


@pytest.fixture
def memory():
    memory = MemoryFileSystem()
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    return memory


@pytest.fixture
def fs(memory, rsa):
    return EncryptedFileSystem(fs=memory, master_key=rsa)


@pytest.mark.parametrize("size", [0, 1, 16, 1000, 300_001])
@pytest.mark.parametrize("content", ["ctr", "gcm"])
def test_a_file_has_the_size_and_the_bytes_of_the_plaintext(memory, rsa, content, size):
    fs = EncryptedFileSystem(fs=memory, master_key=rsa, dialect="cos-v2", content=content)
    plain = data(size)
    with fs.open("/d/file", "wb") as file:
        file.write(plain[: size // 2])
        file.write(plain[size // 2 :])
    assert size < 16 or plain not in memory.cat_file("/d/file")
    assert fs.info("/d/file")["size"] == size == fs.du("/d")
    assert fs.info("/d/file")["stored_size"] == size + (16 if content == "gcm" else 0)
    assert [(e["name"], e["size"]) for e in fs.ls("/d")] == [("/d/file", size)]
    assert fs.find("/") == ["/d/file"] and fs.glob("/d/*") == ["/d/file"]
    assert fs.cat_file("/d/file") == plain
    for start, end in (
        (0, 10),
        (5, None),
        (-7, None),
        (3, -3),
        (None, 4),
        (size, size + 9),
        (9, 3),
    ):
        assert fs.cat_file("/d/file", start, end) == plain[start:end]
    with fs.open("/d/file", "rb", block_size=1000) as file:
        assert file.read(7) == plain[:7]
        file.seek(size // 2)
        assert file.read() == plain[size // 2 :]
    starts, ends = [0, size // 3], [size // 3, size]
    assert b"".join(fs.cat_ranges(["/d/file"] * 2, starts, ends)) == plain
    fs.mv("/d/file", "/d/moved")
    assert fs.cat_file("/d/moved") == plain and not fs.exists("/d/file")
    fs.rm("/d", recursive=True)
    assert list(memory.store) == []


def test_what_is_long_is_encrypted_as_it_is_written(memory, rsa, monkeypatch):
    monkeypatch.setattr("envelope_cse.filesystem._HELD", 10_000)
    fs = EncryptedFileSystem(fs=memory, master_key=rsa)
    plain = data(54_321)
    with fs.open("/long", "wb") as file:
        for at in range(0, len(plain), 777):
            file.write(plain[at : at + 777])
    assert (
        fs.cat_file("/long") == plain and fs.cat_file("/long", 9_999, 40_001) == plain[9_999:40_001]
    )


def test_what_was_not_finished_is_not_there(fs, memory):
    class Stopped(Exception):
        pass

    with pytest.raises(Stopped):
        with fs.transaction:
            with fs.open("/file", "wb") as file:
                file.write(b"text")
            raise Stopped
    assert list(memory.store) == []
    with fs.transaction:
        with fs.open("/file", "wb") as file:
            file.write(b"text")
        assert list(memory.store) == []
    assert fs.cat_file("/file") == b"text"


def test_plaintext_is_refused_unless_it_is_allowed(fs, memory, rsa):
    memory.pipe_file("/plain", b"put there by somebody")
    assert fs.info("/plain")["dialect"] is None
    for read in (fs.cat_file, lambda path: fs.cat_file(path, 1, 2), fs.open):
        with pytest.raises(cse.NotEncryptedError):
            read("/plain")
    allowed = EncryptedFileSystem(fs=memory, master_key=rsa, policy=cse.Policy().allow_plaintext())
    assert allowed.cat_file("/plain", 4, 9) == b"there"


def test_damage_is_noticed_where_a_file_is_read_whole(fs, memory):
    fs.pipe_file("/file", data(1000))
    stored = bytearray(memory.cat_file("/file"))
    stored[500] ^= 1
    memory.pipe_file("/file", bytes(stored))
    with pytest.raises(cse.IntegrityError):
        fs.cat_file("/file")
    memory.pipe_file("/file", bytes(stored[:-1]))
    with pytest.raises(OSError, match="another file"):
        fs.open("/file")
    memory.pipe_file("/file.headers.json", b"[]")
    with pytest.raises(OSError):
        fs.cat_file("/file")


def test_what_is_shorter_than_its_metadata_says_is_refused_in_ranges(fs, memory):
    fs.pipe_file("/file", data(1000))
    headers = json.loads(memory.cat_file("/file.headers.json"))
    memory.pipe_file("/file", memory.cat_file("/file")[:500])
    memory.pipe_file("/file.headers.json", json.dumps({**headers, "etag": '"0-500"'}).encode())
    for read in (fs.cat_file, fs.open, fs.info, lambda path: fs.cat_file(path, 1, 2)):
        with pytest.raises(cse.EnvelopeError):
            read("/file")


def test_a_file_system_that_ignores_ranges_is_noticed(fs, memory, monkeypatch):
    fs.pipe_file("/file", data(1000))
    cat_file = MemoryFileSystem.cat_file
    whole = lambda self, path, start=None, end=None, **kwargs: cat_file(self, path)  # noqa: E731
    monkeypatch.setattr(MemoryFileSystem, "cat_file", whole)
    with pytest.raises(OSError, match="bytes came"):
        fs.cat_file("/file", 36, 46)


MUTATING = ("open", "pipe_file", "mv", "rm_file", "cp_file")


def all_that_is_kept(fs, memory):
    """What can be decrypted with any metadata that is there, in whatever file it is."""
    kept = []
    for body in list(memory.store):
        for name in list(memory.store):
            if memory.cat_file(name).startswith(b"{"):
                # A ciphertext may begin like this, too.
                with contextlib.suppress(cse.EnvelopeError, ValueError):
                    headers = json.loads(memory.cat_file(name))
                    kept.append(cse.decrypt(headers, memory.cat_file(body), fs._decryptor))
    return kept


@pytest.mark.parametrize("failing", MUTATING + ("info", "cat_file"))
def test_a_write_that_fails_leaves_the_old_file_or_the_metadata_of_the_new_one(fs, memory, failing):
    fs.pipe_file("/file", b"old")
    for after in range(8):
        calls, original = [], getattr(memory, failing)

        def fails(*args, calls=calls, original=original, after=after, **kwargs):
            calls.append(args)
            if len(calls) > after:
                raise Full
            return original(*args, **kwargs)

        setattr(memory, failing, fails)
        try:
            fs.pipe_file("/file", b"new")
        except (Full, OSError):
            pass
        finally:
            delattr(memory, failing)
        try:
            assert fs.cat_file("/file") in (b"old", b"new")
        except OSError as error:
            assert "no JSON" in str(error)
            # Its metadata is there under another name.
            assert {b"old", b"new"} & set(all_that_is_kept(fs, memory))
        assert fs.find("/") == ["/file"]
        for name in list(memory.store):
            memory.rm_file(name)
        fs.pipe_file("/file", b"old")


class Died(BaseException):
    pass


@pytest.fixture
def dying(memory, monkeypatch):
    """Lets all that is done to files fail after a number of steps, as if the process had died, and
    looks at the files after each step."""

    def run(act, look, steps):
        left, is_watching = [steps], [False]

        def watched(name):
            original = getattr(MemoryFileSystem, name)

            def step(self, *args, **kwargs):
                if is_watching[0]:
                    return original(self, *args, **kwargs)
                if left[0] == 0:
                    raise Died
                left[0] -= 1
                done = original(self, *args, **kwargs)
                is_watching[0] = True
                try:
                    look()
                finally:
                    is_watching[0] = False
                return done

            return step

        with monkeypatch.context() as patched:
            for name in ("pipe_file", "rm_file", "cp_file"):
                patched.setattr(MemoryFileSystem, name, watched(name))
            try:
                act()
            except Died:
                return False
        return True

    return run


@pytest.mark.parametrize("was", ["encrypted", "plaintext", None])
@pytest.mark.parametrize("becomes", ["encrypted", "copied", "plaintext"])
def test_ciphertext_is_never_read_as_plaintext(fs, memory, rsa, dying, was, becomes):
    policy = cse.Policy().allow_plaintext()
    lenient = EncryptedFileSystem(fs=memory, master_key=rsa, policy=policy)

    def look():
        try:
            assert lenient.cat_file("/file") in (b"old", b"new")
        except FileNotFoundError:
            assert was is None
        except OSError as error:
            assert "no JSON" in str(error)

    def act():
        if becomes == "encrypted":
            lenient.pipe_file("/file", b"new")
        else:
            lenient.cp_file("/source", "/file")

    for steps in range(30):
        memory.store.clear()
        write = memory if becomes == "plaintext" else fs
        write.pipe_file("/source", b"new")
        if was is not None:
            (memory if was == "plaintext" else fs).pipe_file("/file", b"old")
        ended = dying(act, look, steps)
        look()
        memory.rm_file("/source")
        if becomes != "plaintext":
            memory.rm_file("/source.headers.json")
        # Whatever has happened, what was there is there, or what replaces it.
        plain = {bytes(memory.cat_file(name)) for name in memory.store}
        kept = plain | set(all_that_is_kept(fs, memory))
        assert was is None or kept & {b"old", b"new"}
        if ended:
            break
    assert ended and steps > 3
    assert lenient.cat_file("/file") == b"new"
    named = ["/file"] if becomes == "plaintext" else ["/file", "/file.headers.json"]
    assert sorted(memory.store) == named


def test_a_move_that_fails_late_does_not_lose_the_new_metadata(fs, memory, monkeypatch):
    fs.pipe_file("/file", b"old")
    mv = MemoryFileSystem.mv

    def fails_late(self, path1, path2, **kwargs):
        self.cp_file(path1, path2)
        raise KeyboardInterrupt

    monkeypatch.setattr(MemoryFileSystem, "mv", fails_late)
    with pytest.raises(KeyboardInterrupt) as caught:
        fs.pipe_file("/file", b"new")
    assert "metadata" in str(caught.value.__notes__)
    assert b"new" in all_that_is_kept(fs, memory)
    # So it is if the last step is interrupted.
    steps = iter([mv])

    def fails_last(*args, **kwargs):
        for step in steps:
            return step(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(MemoryFileSystem, "mv", fails_last)
    with pytest.raises(KeyboardInterrupt):
        fs.pipe_file("/file", b"newer")
    assert b"newer" in all_that_is_kept(fs, memory)


def test_a_copy_of_a_damaged_file_replaces_nothing(fs, memory):
    fs.pipe_file("/file", b"text")
    fs.pipe_file("/damaged", b"text")
    memory.pipe_file("/damaged.headers.json", b"")
    before = dict(memory.store)
    with pytest.raises(OSError, match="no JSON"):
        fs.cp_file("/damaged", "/file")
    assert fs.cat_file("/file") == b"text" and set(memory.store) == set(before)


def test_an_error_is_not_taken_for_absence(fs, memory, monkeypatch):
    fs.pipe_file("/d/file", b"text")
    fs.pipe_file("/d/other", b"text")
    info = MemoryFileSystem.info

    def fails(self, path, **kwargs):
        if "file" in path:
            raise PermissionError(path)
        return info(self, path, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, "info", fails)
    before = dict(memory.store)
    for use in (
        lambda: fs.exists("/d/file"),
        lambda: fs.isfile("/d/file"),
        lambda: fs.isdir("/d/file"),
        lambda: fs.touch("/d/file", truncate=False),
        lambda: fs.touch("/d/new-file", truncate=False),
        lambda: fs.open("/d/file", "xb"),
        lambda: fs.pipe_file("/d/file", b"other", mode="create"),
        lambda: fs.copy("/d", "/e", recursive=True),
        lambda: fs.cp_file("/d/file", "/d/copied"),
        lambda: fs.rm("/d/file", recursive=True),
        lambda: fs.rm(["/d/file", "/d/missing"], recursive=True),
    ):
        with pytest.raises(PermissionError):
            use()
    assert before.items() <= memory.store.items()
    monkeypatch.undo()
    assert fs.cat_file("/d/file") == fs.cat_file("/d/other") == b"text"


def test_a_folder_that_cannot_be_listed_is_not_empty(fs, memory, monkeypatch):
    fs.pipe_file("/d/below/file", b"text")
    ls = MemoryFileSystem.ls

    def fails(self, path, **kwargs):
        if path == "/d/below":
            raise PermissionError(path)
        return ls(self, path, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, "ls", fails)
    for use in (lambda: fs.copy("/d", "/e", recursive=True), lambda: fs.du("/d")):
        with pytest.raises(PermissionError):
            use()
    assert list(fs.walk("/d/below", on_error="omit")) == []
    assert fs.find("/missing") == []


def test_a_damaged_file_is_there(fs, memory):
    fs.pipe_file("/file", b"text")
    memory.pipe_file("/file.headers.json", b"no JSON")
    assert fs.exists("/file") and fs.isfile("/file") and not fs.isdir("/file")
    with pytest.raises(NotImplementedError):
        fs.touch("/file", truncate=False)
    with pytest.raises(FileExistsError):
        fs.pipe_file("/file", b"other", mode="create")
    assert memory.cat_file("/file.headers.json") == b"no JSON"
    assert not fs.exists("/file/below") and not fs.exists("/file.headers.json")
    fs.rm("/file")
    assert list(memory.store) == []


def test_what_is_no_file_is_not_left_out(rsa, tmp_path):
    fs = EncryptedFileSystem(fs=LocalFileSystem(), master_key=rsa)
    fs.mkdir(f"{tmp_path}/d")
    fs.pipe_file(f"{tmp_path}/d/file", b"")
    assert not fs.exists(f"{tmp_path}/d/file/below")
    os.mkfifo(tmp_path / "d/pipe")
    with pytest.raises(OSError, match="neither"):
        fs.copy(f"{tmp_path}/d", f"{tmp_path}/e", recursive=True)
    fs.rm(f"{tmp_path}/d", recursive=True)
    assert not os.path.exists(tmp_path / "d")


@pytest.mark.parametrize("local", [False, True])
def test_a_file_is_not_copied_or_moved_onto_itself(memory, rsa, tmp_path, local):
    inner = LocalFileSystem() if local else memory
    fs, path = EncryptedFileSystem(fs=inner, master_key=rsa), f"{tmp_path}/a" if local else "/d/a"
    fs.pipe_file(path, b"text")
    other = path.replace("/a", "/./a")
    for same in (path, other):
        with pytest.raises(ValueError, match="itself"):
            fs.cp_file(path, same)
        fs.mv(path, same)
        assert fs.cat_file(path) == b"text"
    fs.mv(path, path + "2")
    fs.cp_file(path + "2", path)
    assert fs.cat_file(path) == fs.cat_file(path + "2") == b"text"


def test_the_names_of_metadata_cannot_be_used(fs, memory, tmp_path):
    fs.pipe_file("/x", b"text")
    (tmp_path / "x.headers.json").write_bytes(b"{}")
    for use in (
        lambda: fs.pipe_file("/x.headers.json", b"{}"),
        lambda: fs.put_file(str(tmp_path / "x.headers.json"), "/x.headers.json"),
        lambda: fs.open("/x.headers.json", "wb"),
        lambda: fs.rm_file("/x.headers.json"),
        lambda: fs.cp_file("/x", "/x.headers.json"),
        lambda: fs.mkdir("/x.headers.json"),
        lambda: fs.pipe_file("/y.headers.json/z", b""),
        lambda: fs.touch("/.envelope-uploads/z"),
    ):
        with pytest.raises(PermissionError):
            use()
    assert fs.cat_file("/x") == b"text"


def test_a_file_that_is_got_is_checked(fs, memory, tmp_path, monkeypatch):
    for held in (64 << 20, 100):
        monkeypatch.setattr("envelope_cse.filesystem._HELD", held)
        monkeypatch.setattr("envelope_cse.filesystem._STEP", 300)
        fs.pipe_file("/file", data(1000))
        fs.get_file("/file", tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == data(1000)
        stored = bytearray(memory.cat_file("/file"))
        stored[999] ^= 1
        memory.pipe_file("/file", bytes(stored))
        with pytest.raises(cse.IntegrityError):
            fs.get_file("/file", tmp_path / "got")
        with pytest.raises(cse.IntegrityError):
            fs.read_text("/file", encoding="latin-1")
        assert (tmp_path / "got").read_bytes() == data(1000)
        assert os.listdir(tmp_path) == ["got"]
    fs.pipe_file("/file", "some text ü".encode())
    assert fs.read_text("/file", encoding="utf-8") == "some text ü"


def test_a_transaction_holds_everything_back(fs, memory, tmp_path):
    (tmp_path / "local").write_bytes(b"text")
    with pytest.raises(KeyError):
        with fs.transaction:
            fs.pipe_file("/piped", b"text")
            fs.put_file(str(tmp_path / "local"), "/put")
            raise KeyError
    assert list(memory.store) == []


def test_a_policy_without_ranges_reads_whole_files(memory, rsa):
    strict = cse.Policy().require_seal().authenticated_only()
    fs = EncryptedFileSystem(fs=memory, master_key=rsa, policy=strict)
    fs.pipe_file("/file", data(1000))
    assert fs.cat_file("/file", 10, 20) == data(1000)[10:20]
    stored = bytearray(memory.cat_file("/file"))
    stored[500] ^= 1
    memory.pipe_file("/file", bytes(stored))
    with pytest.raises(cse.IntegrityError):
        fs.cat_file("/file", 10, 20)


def test_a_file_that_is_replaced_while_it_is_read_is_an_error(fs):
    fs.pipe_file("/file", data(100_000))
    with fs.open("/file", block_size=1000) as file:
        file.read(10)
        fs.pipe_file("/file", data(100_000)[::-1])
        with pytest.raises(Changed):
            file.seek(50_000)
            file.read(10)


def test_folders_are_those_of_the_command(tmp_path, monkeypatch):
    envelope = os.environ.get("ENVELOPE")
    if envelope is None:
        pytest.skip("ENVELOPE is not set")
    monkeypatch.setenv("HOME", str(tmp_path))
    fs = EncryptedFileSystem(
        target_protocol="file", master_key=PUBLIC_KEY, other_keys=[PRIVATE_KEY]
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    fs.pipe_file(f"{folder}/ours", data(5000))
    read = subprocess.run(
        [envelope, "cat", f"file:{folder}/ours", "--key", PRIVATE_KEY],
        check=True,
        capture_output=True,
    )
    assert read.stdout == data(5000)
    (tmp_path / "plain").write_bytes(data(7000))
    subprocess.run(
        [envelope, "put", str(tmp_path / "plain"), f"file:{folder}/theirs", "--key", PUBLIC_KEY],
        check=True,
        capture_output=True,
    )
    assert fs.cat_file(f"{folder}/theirs", 100, 200) == data(7000)[100:200]
    assert fs.cat_file(f"{folder}/theirs") == data(7000)


def test_it_is_pickled_with_the_path_of_a_key_and_never_with_a_key(tmp_path, rsa):
    fs = fsspec.filesystem("envelope+memory", master_key=PRIVATE_KEY)
    fs.pipe_file("/pickled", b"text")
    again = pickle.loads(pickle.dumps(fs))
    assert again.cat_file("/pickled") == b"text"
    with pytest.raises(TypeError):
        pickle.dumps(fsspec.filesystem("envelope+memory", master_key=rsa))


def test_two_keys_are_never_confused(memory):
    first, second = (cse.RsaKey.generate(2048) for _ in range(2))
    fsspec.filesystem("envelope+memory", master_key=first).pipe_file("/file", b"text")
    with pytest.raises(cse.EnvelopeError):
        fsspec.filesystem("envelope+memory", master_key=second).cat_file("/file")


def test_file_systems_with_two_keys_are_two(memory):
    first, second = (cse.RsaKey.generate(2048) for _ in range(2))
    one, other = (EncryptedFileSystem(fs=memory, master_key=key) for key in (first, second))
    assert one != other and hash(one) != hash(other) and one._fs_token != other._fs_token
    named = [EncryptedFileSystem(fs=memory, master_key=PRIVATE_KEY) for _ in range(2)]
    assert named[0] == named[1] and named[0]._fs_token == named[1]._fs_token
    folders = [
        fsspec.filesystem(
            "dir", path="/t", target_protocol="envelope+memory", target_options={"master_key": key}
        )
        for key in (first, second)
    ]
    assert folders[0] is not folders[1]
    aes = [cse.AesKey(bytes([n]) * 32) for n in range(2)]
    assert repr(aes[0]) != repr(aes[1]) and repr(first) != repr(second)


def test_secrets_are_no_options(memory, rsa):
    with pytest.raises(ValueError, match="secrets"):
        EncryptedFileSystem(
            fs=memory, master_key="aliyun:r:k", kms={"access_key_secret": "a secret"}
        )
    text = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    with pytest.raises(FileNotFoundError) as caught:
        EncryptedFileSystem(fs=memory, master_key=text)
    assert text not in str(caught.value) and caught.value.__cause__ is None
    with pytest.raises(ValueError, match="chained"):
        EncryptedFileSystem(fs=memory, master_key=rsa, fo="/x")


def test_addresses_are_kept(memory, rsa, tmp_path):
    fs = fsspec.filesystem("envelope+file", master_key=PRIVATE_KEY)
    path = f"{tmp_path}/a"
    assert fs._strip_protocol(fs.unstrip_protocol(path)) == path
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{tmp_path}/missing")


def test_who_has_no_key_that_encrypts_only_reads(memory):
    EncryptedFileSystem(fs=memory, master_key=PUBLIC_KEY).pipe_file("/file", b"text")
    reading = EncryptedFileSystem(fs=memory, other_keys=[PRIVATE_KEY])
    assert reading.cat_file("/file") == b"text"
    with pytest.raises(cse.EncryptError):
        reading.open("/other", "wb")
    with pytest.raises(NotImplementedError):
        reading.open("/file", "ab")
    with pytest.raises(ValueError, match="no key"):
        EncryptedFileSystem(fs=memory)


# Columns


@pytest.fixture(scope="module")
def kms():
    """The loopback KMS behind a door that counts: (its URL, the list of operations)."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from urllib.request import Request, urlopen

    with subprocess.Popen(
        [os.environ["LOOPBACK_KMS"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        url, seen = process.stdout.readline().strip(), []

        class Door(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen.append(self.path + " " + body.decode() + str(self.headers))
                forwarded = {k: v for k, v in self.headers.items() if k.lower() != "content-length"}
                request = Request(url + self.path, body, forwarded, method="POST")
                with urlopen(request) as answer:
                    content = answer.read()
                    self.send_response(answer.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        threading.Thread(target=door.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{door.server_port}", seen
        door.shutdown()


def test_a_column_costs_one_unwrap_and_the_bytes_of_the_plain_file(memory, kms, monkeypatch):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    url, seen = kms
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", ID)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET)
    rows = 1 << 20
    columns = {f"c{n}": numpy.frombuffer(data(8 * rows), numpy.int64) + n for n in range(7)}
    written = io.BytesIO()
    parquet.write_table(
        pyarrow.table(columns), written, compression="none", use_dictionary=False,
        row_group_size=rows // 8,
    )  # fmt: skip
    plain = written.getvalue()
    assert len(plain) >= 50_000_000
    options = {"kms": {"endpoint": url}}
    fs = EncryptedFileSystem(fs=memory, master_key="aliyun:cn-hangzhou:key-1", **options)
    fs.pipe_file("/encrypted.parquet", plain)
    memory.pipe_file("/plain.parquet", plain)
    read = []
    cat_file = MemoryFileSystem.cat_file

    def counted(self, path, start=None, end=None, **kwargs):
        piece = cat_file(self, path, start, end, **kwargs)
        if not path.endswith(".json"):
            read.append(len(piece))
        return piece

    # The file of the memory file system reads past `cat_file`.
    class Counting(io.BytesIO):
        def read(self, size=-1):
            piece = super().read(size)
            read.append(len(piece))
            return piece

        def readinto(self, buffer):
            count = super().readinto(buffer)
            read.append(count)
            return count

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counted)
    want = parquet.read_table(Counting(plain), columns=["c3"])
    of_plain = sum(read)
    for cache_type in ("none", "readahead"):
        read.clear()
        # As another process would: it has no content key yet.
        fs = EncryptedFileSystem(fs=memory, other_keys=["aliyun:cn-hangzhou"], **options)
        before = len(seen)
        with fs.open("/encrypted.parquet", "rb", block_size=4096, cache_type=cache_type) as file:
            got = parquet.read_table(file, columns=["c3"], pre_buffer=False)
        assert got == want
        # The content key and the IV are wrapped each.
        assert len(seen) - before == 2
        assert sum(read) <= 1.1 * of_plain, (cache_type, sum(read), of_plain)


def test_pandas_and_arrow_read_by_address(tmp_path):
    pandas = pytest.importorskip("pandas")
    dataset = pytest.importorskip("pyarrow.dataset")
    options = {"master_key": PRIVATE_KEY}
    frame = pandas.DataFrame({"a": range(1000), "b": [str(n) for n in range(1000)]})
    for number in range(3):
        frame.to_parquet(f"envelope+memory://frames/{number}.parquet", storage_options=options)
    back = pandas.read_parquet("envelope+memory://frames/1.parquet", storage_options=options)
    assert back.equals(frame)
    frame.to_csv("envelope+file://" + str(tmp_path / "a.csv"), storage_options=options, index=False)
    assert b"999" not in (tmp_path / "a.csv").read_bytes()
    back = pandas.read_csv("envelope+file://" + str(tmp_path / "a.csv"), storage_options=options)
    assert list(back["a"]) == list(range(1000))
    fs = fsspec.filesystem("envelope+memory", **options)
    table = dataset.dataset("/frames", filesystem=fs, format="parquet").to_table(columns=["a"])
    assert table.num_rows == 3000


# Through the clients of ossfs and cosfs


def test_it_works_over_cosfs(loopback, rsa):
    cosfs = pytest.importorskip("cosfs")
    qcloud_cos = pytest.importorskip("qcloud_cos")
    inner = cosfs.CosFileSystem(region="ap-guangzhou", secret_id=ID, secret_key=SECRET)
    host, port = loopback.removeprefix("http://").split(":")
    inner._cos_client = qcloud_cos.CosS3Client(
        qcloud_cos.CosConfig(
            Region="ap-guangzhou", SecretId=ID, SecretKey=SECRET, Scheme="http", IP=host,
            Port=int(port),
        )
    )  # fmt: skip
    for content in ("ctr", "gcm"):
        fs = EncryptedFileSystem(fs=inner, master_key=rsa, content=content)
        over_a_store(fs, "cfs-1250000000/" + content)


def test_it_works_over_ossfs(loopback, rsa):
    ossfs = pytest.importorskip("ossfs")
    inner = ossfs.OSSFileSystem(endpoint=loopback, key=ID, secret=SECRET)
    over_a_store(EncryptedFileSystem(fs=inner, master_key=rsa), "bkt/ossfs")


def over_a_store(fs, folder):
    plain, path = data(300_001), folder + "/file"
    fs.pipe_file(path, plain)
    info = fs.info(path)
    assert (info["size"], info["type"]) == (len(plain), "file")
    assert [entry["size"] for entry in fs.ls(folder)] == [len(plain)]
    assert fs.cat_file(path) == plain
    assert fs.cat_file(path, 8193, 70_001) == plain[8193:70_001]
    assert fs.cat_file(path, -5) == plain[-5:]
    with pytest.raises(FileExistsError):
        fs.pipe_file(path, b"", mode="create")
    with fs.open(path, "rb", block_size=4096, cache_type="none") as file:
        assert file.read(10) == plain[:10]
        fs.pipe_file(path, plain[::-1])
        file.seek(100_000)
        if file._held is None:
            with pytest.raises(Changed):
                file.read(10)
    with fs.open(folder + "/streamed", "wb") as file:
        file.write(plain)
    assert fs.cat_file(folder + "/streamed", 5, 50) == plain[5:50]
    assert not fs.exists(folder + "/missing") and fs.isdir(folder)
    with pytest.raises(NotImplementedError):
        fs.touch(path, truncate=False)
    fs.copy(folder, folder + "2", recursive=True)
    assert fs.isfile(folder + "2/file") and not fs.isdir(folder + "2/file")
    head = fs._backend._call

    def failing(method, *args, **kwargs):
        if method == "head_object":
            raise PermissionError
        return head(method, *args, **kwargs)

    fs._backend._call = failing
    for use in (
        lambda: fs.touch(folder + "/new", truncate=False),
        lambda: fs.copy(folder, folder + "3", recursive=True),
        lambda: fs.rm(folder, recursive=True),
    ):
        with pytest.raises(PermissionError):
            use()
    fs._backend._call = head
    assert fs.exists(path) and not fs.exists(folder + "/new")
    with pytest.raises(FileNotFoundError):
        fs.open(folder + "/missing")
    # The encoding is that of the plaintext.
    headers, body = fs._new().encrypt(plain)
    headers["Content-Encoding"] = "gzip"
    fs._backend.write(path, body, len(body), headers, False)
    assert fs.cat_file(path) == plain
    assert fs.cat_file(path, 5, 50) == plain[5:50]
    fs.rm_file(path)
    assert not fs.exists(path)


def test_sidecars_are_json(fs, memory):
    fs.pipe_file("/file", b"text")
    headers = json.loads(memory.cat_file("/file.headers.json"))
    assert cse.inspect(headers).dialect == "oss-v2"
    assert not fs.exists("/file.headers.json") and fs.ls("/", detail=False) == ["/file"]


def test_an_interrupted_write_leaves_what_was_there(memory, rsa, monkeypatch):
    monkeypatch.setattr("envelope_cse.filesystem._HELD", 1000)
    fs = EncryptedFileSystem(fs=memory, master_key=rsa)
    fs.pipe_file("/file", b"what was there")

    class Stopped(BaseException):
        pass

    with pytest.raises(Stopped):
        with fs.open("/file", "wb") as file:
            file.write(bytes(1500))

            class Spooled:
                def __getattr__(self, name):
                    return getattr(spooled, name)

                def write(self, body):
                    file._spooled = spooled
                    raise Stopped

            spooled, file._spooled = file._spooled, Spooled()
            file.write(bytes(1500))
    assert fs.cat_file("/file") == b"what was there"
    with pytest.raises(OSError, match="interrupted"):
        file.commit()


class Spool:
    """A temporary file whose second piece is not written."""

    def __init__(self, error):
        self._file, self._error, self._pieces = io.BytesIO(), error, 0

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, piece):
        self._pieces += 1
        if self._pieces == 2:
            raise self._error
        return self._file.write(piece)


@pytest.fixture
def failing(memory, rsa, monkeypatch, tmp_path):
    """A file system that holds little, and whose temporary files fail with a given error; and a
    long file."""
    monkeypatch.setattr("envelope_cse.filesystem._HELD", 1000)
    monkeypatch.setattr("envelope_cse.filesystem._STEP", 1000)
    (tmp_path / "long").write_bytes(data(5000))
    fs = EncryptedFileSystem(fs=memory, master_key=rsa, dialect="cos-v2", content="gcm")

    def fail(error):
        spool = "envelope_cse.filesystem.tempfile.TemporaryFile"
        monkeypatch.setattr(spool, lambda: Spool(error))

    return fs, fail, str(tmp_path / "long")


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(3), OSError(errno.ENOSPC, "full"), None]
)
def test_what_went_wrong_is_what_is_raised(failing, monkeypatch, error):
    fs, fail, long = failing
    if error is None:
        monkeypatch.setattr("envelope_cse.filesystem._LONGEST", 1500)
    else:
        fail(error)

    def written():
        with fs.open("/file", "wb") as file:
            for _ in range(5):
                file.write(bytes(1000))

    def written_as_text():
        with fs.open("/file", "w") as file:
            file.write("text" * 50_000)

    def written_another_way():
        file = fs.open("/file", "wb")
        try:
            for _ in range(5):
                file.write(bytes(1000))
        finally:
            file.close()

    for use in (
        lambda: fs.put_file(long, "/file"),
        written,
        written_as_text,
        written_another_way,
    ):
        with pytest.raises(cse.EncryptError if error is None else type(error)) as caught:
            use()
        if error is not None:
            assert caught.value is error
    assert fs.find("/") == []


def test_who_goes_on_after_a_failure_is_told(failing):
    fs, fail, _ = failing
    for error, told in (
        (OSError(errno.ENOSPC, "full"), "full"),
        (KeyboardInterrupt(), "interrupted"),
    ):
        fail(error)
        file = fs.open("/file", "wb")
        file.write(bytes(1000))
        with pytest.raises(type(error)):
            file.write(bytes(1000))
        for use in (lambda: file.write(b"more"), file.commit, file.close):
            with pytest.raises(OSError, match=told):
                use()
    # A body that raises something else is not interrupted again.
    fail(OSError(errno.ENOSPC, "full"))
    with pytest.raises(KeyError):
        with fs.open("/file", "wb") as file:
            with contextlib.suppress(OSError):
                file.write(bytes(1000))
                file.write(bytes(1000))
            raise KeyError
    assert fs.find("/") == []


def test_an_abandoned_file_leaves_the_others_of_a_transaction(failing, monkeypatch):
    fs, fail, long = failing
    with fs.transaction:
        fs.pipe_file("/first", b"text")
        with monkeypatch.context() as patched:
            patched.setattr("envelope_cse.filesystem.tempfile.TemporaryFile", lambda: Spool(Full()))
            with pytest.raises(Full):
                fs.put_file(long, "/second")
        fs.put_file(long, "/third")
    assert fs.cat_file("/first") == b"text" and fs.cat_file("/third") == data(5000)
    assert fs.find("/") == ["/first", "/third"]


class Full(Exception):
    pass


def test_no_bytes_are_encrypted_twice(fs, monkeypatch):
    monkeypatch.setattr("envelope_cse.filesystem._HELD", 1000)

    class Interrupting:
        """`io`, for fsspec, which begins another buffer when a piece is encrypted."""

        def BytesIO(self):
            monkeypatch.setattr("fsspec.spec.io", io)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with fs.open("/file", "wb") as file:
            monkeypatch.setattr("fsspec.spec.io", Interrupting())
            file.write(data(1500))
    assert fs.cat_file("/file") == data(1500)


def test_a_commit_that_fails_is_not_continued(fs, monkeypatch):
    monkeypatch.setattr("envelope_cse.filesystem._HELD", 1000)
    write = fs._backend.write

    def fails(path, body, *_):
        next(iter(body))
        raise Full

    fs._backend.write = fails
    with pytest.raises(Full):
        with fs.open("/file", "wb") as file:
            file.write(data(3000))
    fs._backend.write = write
    with pytest.raises(Full):
        file.commit()
    assert not fs.exists("/file")


@pytest.mark.parametrize("size", [999, 1000, 5000])
def test_a_file_is_put_with_every_cipher(memory, rsa, monkeypatch, tmp_path, size):
    monkeypatch.setattr("envelope_cse.filesystem._HELD", 1000)
    (tmp_path / "file").write_bytes(data(size))
    for content in ("ctr", "gcm"):
        fs = EncryptedFileSystem(fs=memory, master_key=rsa, dialect="cos-v2", content=content)
        fs.put_file(str(tmp_path / "file"), "/file")
        assert fs.cat_file("/file") == data(size)


def test_a_whole_file_has_its_length(memory, rsa):
    fs = EncryptedFileSystem(fs=memory, master_key=rsa, dialect="cos-v1")
    fs.pipe_file("/file", data(5000))
    read = fs._backend.read

    def short(*arguments):
        body, stored = read(*arguments)
        return body[:-1], stored

    fs._backend.read = short
    with pytest.raises(OSError, match="4999 bytes"):
        fs.cat_file("/file")


@pytest.mark.parametrize("content", ["ctr", "gcm"])
def test_a_file_that_cannot_be_read_replaces_nothing(memory, rsa, monkeypatch, tmp_path, content):
    monkeypatch.setattr("envelope_cse.filesystem._HELD", 1000)
    monkeypatch.setattr("envelope_cse.filesystem._STEP", 1000)
    fs = EncryptedFileSystem(fs=memory, master_key=rsa, dialect="cos-v2", content=content)
    fs.pipe_file("/file", b"what was there")
    path = tmp_path / "file"
    path.write_bytes(data(5000))
    real = os.path.getsize

    # It is shorter than it was.
    monkeypatch.setattr(os.path, "getsize", lambda name: 6000 if name == str(path) else real(name))
    wrong = "it changed" if content == "gcm" else "as it said"
    with pytest.raises((OSError, cse.EncryptError), match=wrong):
        fs.put_file(str(path), "/file")
    assert fs.cat_file("/file") == b"what was there"
