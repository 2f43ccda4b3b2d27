"""Prove that an exported folder works in the clients that people use, each in an environment of its own.

python scripts/clients/run.py --work /tmp/clients                       # every client, every model
python scripts/clients/run.py fastembed node --work /tmp/clients        # two of them
python scripts/clients/run.py node --work /tmp/clients --models minilm classifier

Makes environments below DIR (pip, npm; nothing else is fetched), exports models there, asks each client for vectors, logits and
answers, and compares them with this project's own. Results: scripts/clients/results/<client>.json, clients.md. Needs the extras
[demo]; node and npm for transformers.js, and Chromium (`apt-get install chromium`) for the browser. DISTILL_BENCH_MODELS adds e5.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compare
import models
from environments import InstallError, node_environment, python_environment

from distill.errors import DistillError
from distill.files import atomic_write, read_json, write_json

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIGHT = ("numpy", "onnxruntime", "tokenizers")
TORCH = "torch==2.13.0"


RULES = """`same`: torch to 1e-5 (logits 1e-4), fp32 to 1e-4 of the model in PyTorch before it was saved; to the same file in
this project's hands, on the same batch, `portable` to 1e-4, files with 8-bit activations at a cosine of at least 0.999 (`fast`)
or 0.9999 (`faithful`). Where a row says that it misses that, it is as near to PyTorch as this project's own, within 0.002. `to
fp32` is the least cosine to PyTorch: what 8 bits cost. The worst of one input at a time and all at once. A client also keeps to
the folder's one length limit, where it tells its own, and loads the folder without a warning.
"""


@dataclass(frozen=True)
class Client:
    """One client.

    Attributes:
        program: of this folder; run as PROGRAM JOB ANSWERS, a .mjs one with its folder of npm packages as a third argument.
        packages: of pip, or of npm.
        environment: folder name of its environment where several clients share one.
    """

    program: str
    packages: tuple[str, ...]
    environment: str = ""


JS = ("@huggingface/transformers@4.3.2", "puppeteer-core@25.16.0")

CLIENTS = {
    "sentence-transformers-5.0": Client(
        "client_sentence_transformers.py", ("sentence-transformers==5.0.0", "transformers==4.57.6", TORCH)
    ),
    "sentence-transformers-5.7": Client(
        "client_sentence_transformers.py", ("sentence-transformers==5.7.0", "transformers==5.24.0", TORCH)
    ),
    "sentence-transformers-6": Client(
        "client_sentence_transformers.py", ("sentence-transformers==6.2.0", "transformers==5.24.0", TORCH)
    ),
    "transformers-4": Client("client_transformers.py", ("transformers==4.57.6", TORCH)),
    "transformers-5": Client("client_transformers.py", ("transformers==5.24.0", TORCH)),
    "onnxruntime": Client("client_onnxruntime.py", LIGHT, "light"),
    "distill": Client("client_distill.py", LIGHT, "light"),
    "fastembed": Client("client_fastembed.py", ("fastembed==0.9.1",)),
    "optimum": Client("client_optimum.py", ("optimum-onnx[onnxruntime]==0.1.0", "sentence-transformers==5.1.2", TORCH)),
    "node": Client("client_node.mjs", JS, "js"),
    "browser": Client("client_browser.mjs", JS, "js"),
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=f"any of {', '.join(CLIENTS)} (default: all)")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="environments and exported models; kept")
    parser.add_argument("--models", nargs="+", metavar="MODEL", help=f"any of {', '.join(models.NAMES)} (default: all there are)")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the results (default: %(default)s)")
    parser.add_argument("--keep-models", action="store_true", help="ask about the models of an earlier call, if they are there")
    args = parser.parse_args(arguments)
    for name in args.clients:
        if name not in CLIENTS:
            parser.error(f"unknown client {name}: choose from {', '.join(CLIENTS)}")
    args.clients = args.clients or list(CLIENTS)
    args.models = args.models or models.available()
    return args


def job(made: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What a client's program is given: folders and inputs, and no reference."""
    asked = []
    for model in made:
        given = {key: model[key] for key in ("name", "kind", "inputs", "prompt", "pooled", "torch", "labels")}
        given["folder"] = str(folder / model["name"])
        given["dim"] = len(model["values"]["torch"]["single"][0])
        given["asked"] = models.asked(model["kind"], model["inputs"])
        asked.append(given)
    return {"models": asked, "root": str(folder), "readme": str(ROOT / "README.md")}


def ask(name: str, job_file: Path, work: Path) -> dict[str, Any]:
    """Run a client's program in its environment.

    Raises:
        InstallError: its packages cannot be installed.
        RuntimeError: the program stopped; says its last words.
    """
    client = CLIENTS[name]
    place, program, answers = work / "environments" / (client.environment or name), HERE / client.program, work / f"{name}.json"
    answers.unlink(missing_ok=True)
    if program.suffix == ".py":
        command = [str(python_environment(place, client.packages)), str(program), str(job_file), str(answers)]
    else:
        command = ["node", str(program), str(job_file), str(answers), str(node_environment(place, client.packages))]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment.pop("PYTHONPATH", None)
    if name == "distill":
        environment["PYTHONPATH"] = str(ROOT)
    with (work / f"{name}.log").open("w", encoding="utf-8") as log:
        done = subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode or not answers.is_file():
        words = (work / f"{name}.log").read_text("utf-8").strip().splitlines()
        raise RuntimeError(f"the program ended with {done.returncode}: {words[-1] if words else 'no word'}")
    return json.loads(answers.read_text("utf-8"))


def prove(name: str, made: Sequence[dict[str, Any]], work: Path) -> dict[str, Any]:
    """Ask one client about every model and compare."""
    result: dict[str, Any] = {"client": name, "packages": list(CLIENTS[name].packages), "versions": {}, "rows": [], "error": ""}
    job_file = work / "job.json"
    write_json(job_file, job(made, work / "models"))
    try:
        said = ask(name, job_file, work)
    except (InstallError, RuntimeError) as error:
        return {**result, "error": str(error)}
    by_name = {model["name"]: model for model in made}
    rows = [row for answer in said["answers"] for row in compare.compare(by_name[answer["model"]], answer)]
    result = {**result, "versions": said["versions"], "rows": rows}
    outside = said.get("facts", {}).get("outside", [])
    if outside:
        result["error"] = f"requests left the page: {', '.join(outside)}"
    return result


def write_results(out: Path) -> None:
    """clients.md from every result that lies in the folder."""
    known = [read_json(out / f"{name}.json") for name in CLIENTS if (out / f"{name}.json").is_file()]
    text = f"# Clients\n\nMade by `scripts/clients/run.py`.\n\n{compare.versions(known)}\n{RULES}\n{compare.table(known)}"
    atomic_write(out / "clients.md", text)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    folder = args.work.resolve() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    made = []
    try:
        for name in args.models:
            if not (args.keep_models and (folder / f"{name}.json").is_file()):
                models.make(name, folder / name)
            made.append(read_json(folder / f"{name}.json"))
    except DistillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    failed = 0
    for name in args.clients:
        began = time.monotonic()
        result = prove(name, made, args.work.resolve())
        write_json(args.out / f"{name}.json", result)
        wrong = [row for row in result["rows"] if not row["passed"]]
        failed += bool(wrong or result["error"])
        counts = f"{len(result['rows']) - len(wrong)} same, {len(wrong)} not"
        print(f"{name}: {counts} ({time.monotonic() - began:.0f} s) {result['error']}", flush=True)
        for row in wrong:
            print(f"  {row['model']} {row['way']} {row['format']} {row['layout']}: {row['reason']}", flush=True)
    write_results(args.out)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
