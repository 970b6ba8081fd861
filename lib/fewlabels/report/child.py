"""The process that executes one notebook: a script that `execute` starts and asks over stdin.

One process a notebook, because papermill's working directory belongs to the whole process. A
script rather than a module of the package, because importing the package loads torch.
"""

import hashlib
import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

# nbformat loads jsonschema, and that a grammar of web addresses that takes a second to build; no
# notebook has a field for one, and without it jsonschema goes on.
sys.modules["rfc3987_syntax"] = None

import nbformat  # noqa: E402
import papermill  # noqa: E402
import zmq  # noqa: E402
from traitlets.config import Config  # noqa: E402

from fewlabels.files import whole_file  # noqa: E402


def main() -> None:
    """Execute what stdin asks for, put the executed copy in place, then write its result file."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    request = json.load(sys.stdin)
    begun = time.monotonic()
    papermill.execute_notebook(
        request["partial"],
        request["partial"],
        parameters=request["parameters"],
        kernel_name="python3",
        language="python",
        progress_bar=False,
        log_output=True,
        config=_encrypted_sockets(),
    )
    _put_back_kept(Path(request["partial"]))
    target = Path(request["target"])
    digest = hashlib.sha256(Path(request["partial"]).read_bytes()).hexdigest()
    os.replace(request["partial"], target)
    result = {
        "identity": request["identity"],
        "sha256": digest,
        "seconds": round(time.monotonic() - begun, 3),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": request["parameters"],
    }
    with whole_file(target.with_suffix(".json")) as scratch:
        scratch.write_text(json.dumps(result, indent=1) + "\n")


def _put_back_kept(executed: Path) -> None:
    """Give the cells that `kept` had skipped the outputs that were kept of them."""
    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells:
        if "kept" in cell.metadata:
            cell.outputs = cell.metadata.pop("kept")
    nbformat.write(notebook, executed)


def _encrypted_sockets() -> Config:
    """Encrypt the sockets to the kernel where both sides can; ipykernel warns of plain ones."""
    return Config(
        KernelManager={"transport_encryption": "auto" if zmq.has("curve") else "disabled"}
    )


if __name__ == "__main__":
    main()
