"""`distill push` against a server that answers as the hub does: what is sent, to whom, and what is never shown."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from compared import PredictedRun, change

from distill.sealing import seal

TOKEN = "hf_SecretSecretSecret"


class Hub(BaseHTTPRequestHandler):
    """The calls of one commit: make the repository, look at it, check the card, ask how to send, send."""

    def do_GET(self):
        server = self.server
        server.seen.append((self.path, self.headers.get("Authorization")))
        if server.refuses:
            self.answer(server.refuses, {"error": "no"})
            return
        self.answer(200, {"id": "me/model", "private": server.private, "sha": "0" * 40, "siblings": []})

    def do_POST(self):
        server, body = self.server, self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.seen.append((self.path, self.headers.get("Authorization")))
        if server.refuses:
            self.answer(server.refuses, {"error": f"no entry with token {TOKEN}"})
        elif self.path == "/api/repos/create":
            server.made.append(json.loads(body))
            self.answer(409 if server.there else 200, {"url": f"{server.address}/me/model"})
        elif self.path == "/api/validate-yaml":
            server.cards.append(json.loads(body)["content"])
            self.answer(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            self.answer(200, {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]})
        elif "/commit/" in self.path:
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    server.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                else:
                    server.messages.append(entry["value"].get("summary"))
            self.answer(200, {"commitUrl": f"{server.address}/me/model/commit/{'0' * 40}", "commitOid": "0" * 40})
        else:
            self.answer(404, {"error": "no such call"})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.seen, server.made, server.cards, server.messages, server.files = [], [], [], [], {}
    server.there, server.private, server.refuses = False, True, None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(tmp_path):
    """A finished run with a student folder and a report."""
    from distill.report.card import model_card

    folder = PredictedRun(tmp_path / "runs" / "quickstart").write()
    student = folder / "student"
    (student / "onnx").mkdir(parents=True)
    (student / "onnx" / "model.onnx").write_bytes(b"onnx" * 1000)
    (student / "model.safetensors").write_bytes(b"weights" * 1000)
    (student / ".hidden").write_text("nobody's business", "utf-8")
    (student / "README.md").write_text(model_card(folder), "utf-8")
    for name in ("report.html", "report.md", "report.json", "samples.csv"):
        (folder / name).write_text("{}", "utf-8")
    seal(folder)
    return folder


NAMES = ["README.md", "model.safetensors", "onnx/model.onnx"]
NAMES += [f"report/{name}" for name in ("report.html", "report.json", "report.md", "samples.csv")]


def test_without_the_flag_files_are_listed_and_nothing_is_sent(cli, hub, run):
    code, out, err = cli("push", run, "me/model")
    assert (code, err) == (0, "")
    assert [line.split()[-1] for line in out.splitlines()[:-1]] == NAMES
    assert "0.007 MB  model.safetensors" in out
    assert "7 files" in out
    assert "nothing was sent: add --upload" in out
    assert hub.seen == []


def test_it_uploads_student_card_and_report_into_a_private_repository(cli, hub, run):
    code, out, _ = cli("push", run, "me/model", "--upload", "--message", "First")
    assert code == 0
    assert sorted(hub.files) == NAMES
    assert hub.files["model.safetensors"] == b"weights" * 1000
    assert hub.made[0]["name"] == "model"
    assert hub.made[0].get("private", hub.made[0].get("visibility") == "private") is True
    assert hub.messages == ["First"]
    assert "model-index" in hub.cards[0]
    assert f"uploaded to me/model (private): {hub.address}/me/model/commit/" in out


def test_public_only_where_it_is_asked_for(cli, hub, run):
    hub.there, hub.private = True, False
    code, _, err = cli("push", run, "me/model", "--upload")
    assert code == 2
    assert "everyone may read it" in err
    assert hub.files == {}
    assert cli("push", run, "me/model", "--upload", "--public").code == 0
    assert sorted(hub.files) == NAMES


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_the_token_is_sent_to_the_hub_and_shown_to_nobody(cli, hub, run, status, caplog, monkeypatch):
    import huggingface_hub.utils._http as http

    monkeypatch.setattr(http.time, "sleep", lambda seconds: None)
    hub.refuses = status
    with caplog.at_level("DEBUG"):
        code, out, err = cli("--debug", "push", run, "me/model", "--upload")
    assert code == 2
    assert "the hub refuses" in err
    assert any(secret == f"Bearer {TOKEN}" for _, secret in hub.seen)
    assert TOKEN not in out + err + caplog.text


def test_words_like_a_token_are_taken_out(monkeypatch):
    from distill.errors import shorten

    monkeypatch.setenv("HF_TOKEN", "an-odd-token")
    text = shorten(ValueError(f"bad {TOKEN}, Authorization: Bearer abc.def and an-odd-token"))
    assert text == "bad hf_***, Authorization: hf_*** and hf_***"


def test_a_failed_gate_stops_it_unless_told(cli, hub, run):
    change(run, "parity.json", lambda value: value["models"]["fast"].update(passed=False))
    seal(run)
    code, _, err = cli("push", run, "me/model", "--upload")
    assert code == 1
    assert "fast failed the parity gate" in err
    assert hub.seen == []
    assert cli("push", run, "me/model", "--even-if-gates-failed").code == 0
    change(run, "parity.json", lambda value: value.update(models={}))
    seal(run)
    assert cli("push", run, "me/model").code == 1


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda run: change(run, "manifest.json", lambda value: value.update(finished=None)), "has not ended"),
        (lambda run: change(run, "manifest.json", lambda value: value.update(name="x")), "manifest.json: changed"),
        (lambda run: (run / "student" / "README.md").unlink(), "student/README.md: missing"),
        (lambda run: (run / "student" / "model.safetensors").write_bytes(b"other"), "student/model.safetensors: changed"),
        (lambda run: (run / "student" / "onnx" / "model.onnx").unlink(), "student/onnx/model.onnx: missing"),
        (lambda run: (run / "student" / "more.json").write_text("{}"), "student/more.json: was not there"),
        (lambda run: (run / "quality.json").write_text("{}"), "quality.json: changed"),
        (lambda run: (run / "samples.csv").write_text("x"), "samples.csv: changed"),
        (lambda run: [(run / f"{number}.txt").write_text("") for number in range(12)], "and 2 more"),
    ],
)
def test_what_is_not_as_the_run_left_it_is_not_uploaded(cli, hub, run, spoil, word):
    spoil(run)
    code, _, err = cli("push", run, "me/model", "--upload")
    assert code == 2
    assert word in err
    assert hub.seen == []


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda student: (student / "pytorch_model.bin").write_bytes(b"pickle"), "no part of a student"),
        (lambda student: (student / "more.json").symlink_to("/etc/hostname"), "leads out"),
    ],
)
def test_what_no_student_has_is_not_uploaded(cli, hub, run, spoil, word):
    spoil(run / "student")
    seal(run)
    code, _, err = cli("push", run, "me/model", "--upload")
    assert code == 2
    assert word in err
    assert hub.seen == []


@pytest.mark.parametrize("name", ["model", "me/", "/model", "me/mo del", "me/a..b", "https://hub/me/model", "-me/x"])
def test_names_that_are_none(cli, hub, run, name):
    code, _, err = cli("push", run, "--", name) if name.startswith("-") else cli("push", run, name)
    assert code == 2
    assert "owner/name" in err


def test_an_offline_machine_says_so(cli, hub, run, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    code, _, err = cli("push", run, "me/model", "--upload")
    assert code == 2
    assert "HF_HUB_OFFLINE" in err


def test_no_network_is_told(cli, run, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    code, out, err = cli("push", run, "me/model", "--upload")
    assert code == 2
    assert "upload failed" in err
    assert TOKEN not in out + err
