"""`jaxmnist serve`: this machine alone, its own files alone, and every mistake a sentence."""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from jaxmnist.cli import main
from jaxmnist.page import build, server
from jaxmnist.page.command import find_networks
from jaxmnist.page.server import CONNECTIONS, LOOPBACK, Server
from jaxmnist.shipped import find_weights, shipped_names

MOST = 300_000  # bytes of the page, weights and all
FILES = {"index.html": b"<p>hello", "models/seq.bin": bytes(1_000)}


@pytest.fixture(scope="module")
def site() -> dict[str, bytes]:
    return build.build_site(find_networks(find_weights("reader")))


@pytest.fixture
def running() -> Iterator[Server]:
    with Server(FILES, 0) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.02,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def ask(one: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = HTTPConnection(LOOPBACK, one.server_port, timeout=10)
    connection.request(
        method, path, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


# --- The page


def test_the_page_is_light_and_whole(site: dict[str, bytes]) -> None:
    assert len(site["index.html"]) <= MOST
    page = site["index.html"].decode()
    assert not re.search(r"<!-- (style|models|reader|app|weights) -->", page)
    # Whatever is fetched lies beside it.
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page)
    (models,) = re.findall(r'id="models">(.*?)</script>', page)
    files = {each["file"] for each in json.loads(models)}
    assert files == {"", *(name for name in site if name != "index.html")}
    assert {"reader", "seq"} & set(shipped_names()) == {each["name"] for each in json.loads(models)}


def test_modules_that_become_one_script_share_no_name() -> None:
    declared = re.compile(
        r"^(?:export )?(?:async )?(?:function|class|const|let) (\[[^\]]*\]|\w+)", re.MULTILINE
    )
    for folder, names in (("reader", build.READER), ("app", build.APP)):
        paths = [build.STATIC / "packed.js", *(build.STATIC / folder / f"{n}.js" for n in names)]
        assert {*(build.STATIC / folder).glob("*.js")} == {*paths[1:]}
        found = [
            name
            for path in paths
            for each in declared.findall(path.read_text(encoding="utf-8"))
            for name in re.findall(r"\w+", each)
        ]
        script = build._joined(folder, names)
        assert len(found) > 20
        assert len(found) == len(set(found)), sorted(n for n in found if found.count(n) > 1)
        assert "import " not in script
        assert "export " not in script


def test_text_in_the_page_stays_text(site: dict[str, bytes]) -> None:
    network = find_networks(find_weights("seq"))["seq"]
    odd = '</script><script>alert("&")</script>'
    page = build.build_site({"seq": network, odd: network})["index.html"].decode()
    assert page.count("</script>") == site["index.html"].decode().count("</script>")


# --- The server


def test_it_has_its_files_and_nothing_else(running: Server) -> None:
    assert ask(running, "/") == (200, FILES["index.html"])
    assert ask(running, "/index.html?x=1") == (200, FILES["index.html"])
    assert ask(running, "/models/seq.bin") == (200, FILES["models/seq.bin"])
    assert ask(running, "/models/seq.bin", "HEAD") == (200, b"")
    for path in (
        "/server.py", "/models", "/models/", "/../server.py", "/models/../../etc/passwd",
        "//etc/passwd", "/%2e%2e/server.py", "/..%2f..%2fetc/passwd", "/index.html%00", "/%ff",
        "/" + "a" * 1_900,
    ):  # fmt: skip
        assert ask(running, path)[0] == 404, path
    assert ask(running, "/" + "a" * 3_000)[0] == 414
    assert ask(running, "/" + "a" * 70_000)[0] == 414


def test_it_takes_nothing(running: Server) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(running, "/", method)[0] == 501
    assert ask(running, "/", Content_Length="5")[0] == 400
    assert ask(running, "/", Transfer_Encoding="chunked")[0] == 400


def test_other_names_of_this_machine_lead_nowhere(running: Server) -> None:
    assert running.server_address[0] == LOOPBACK == "127.0.0.1"
    port = running.server_port
    for name in (f"localhost:{port}", "LocalHost", "127.0.0.1"):  # port 80 is left out
        assert ask(running, "/", Host=name)[0] == 200, name
    for name in (f"example.com:{port}", "example.com", f"localhost.example.com:{port}", ""):
        assert ask(running, "/", Host=name)[0] == 403, name


def test_those_who_are_slow_or_many_are_let_go(
    running: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server._Handler, "timeout", 0.3)
    many = [socket.create_connection((LOOPBACK, running.server_port)) for _ in range(CONNECTIONS)]
    for each in many:
        each.settimeout(300)
        each.sendall(b"GET / HT")
    assert all(each.recv(100) == b"" for each in many)  # closed, without an answer
    for each in many:
        each.close()
    assert ask(running, "/")[0] == 200


def test_half_an_address_is_a_bad_request(running: Server) -> None:
    with socket.create_connection((LOOPBACK, running.server_port)) as client:
        client.settimeout(300)
        client.sendall(b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


def test_who_never_comes_to_an_end_is_let_go(
    running: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server._Handler, "timeout", 300)
    monkeypatch.setattr(server, "CONNECTED", 0.3)
    with socket.create_connection((LOOPBACK, running.server_port)) as slow:
        slow.settimeout(300)
        slow.sendall(b"GET / HT")
        assert slow.recv(100) == b""


# --- The command


def test_it_writes_a_folder(
    tmp_path: Path, site: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "site"
    for _ in range(2):  # over the last one, too
        assert main(["serve", "--export", str(folder)]) == 0
        assert capsys.readouterr().out == f"{folder / 'index.html'}\n"
        written = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        assert written == site


def test_mistakes_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, words in (
            (["--port", str(port)], f"port {port} is in use: choose another one with --port"),
            (["--port", "65536"], "no port 65536: choose one from 0 to 65535"),
            (["--port", "-1"], "no port -1"),
            (["--port", "x"], "--port: invalid int value: 'x'"),
            (["--export"], "--export: expected one argument"),
            (["--export", str(tmp_path / "file")], "cannot be written"),
            (["--export", str(tmp_path / "file" / "x")], "cannot be written"),
            (["--export", str(tmp_path), "--weights", str(tmp_path / "x")], "does not exist"),
            (["--export", str(tmp_path), "--weights", "x" * 300], "choose one of"),
            (["--export", str(tmp_path), "--weights", str(tmp_path / "file")], "not a readable"),
        ):
            assert main(["serve", *arguments]) == 2, arguments
            error = capsys.readouterr().err
            assert words in error
            assert error.count("\n") == 1


def test_it_says_where_it_is_until_it_is_stopped() -> None:
    command = [sys.executable, "-m", "jaxmnist", "serve", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        line = process.stdout.readline()
        (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)/", line)
        connection = HTTPConnection(LOOPBACK, int(port))
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        process.terminate()
        assert process.communicate()[1] == ""
    assert process.returncode == 0


def test_a_site_replaces_its_own_page_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "index.html"
    mine.write_text("my own page")
    assert main(["serve", "--export", str(tmp_path)]) == 2
    assert "is something else" in capsys.readouterr().err
    assert mine.read_text() == "my own page"
    mine.unlink()
    assert [main(["serve", "--export", str(tmp_path)]) for _ in range(2)] == [0, 0]
