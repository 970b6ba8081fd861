"""The script that executes one notebook in place: `child.py NOTEBOOK`, parameters on stdin.

One process a notebook, because papermill's working directory belongs to the whole process. Stdin
stays open while the parent lives: at its end this process ends too, and its kernel with it.
"""

import json
import logging
import os
import sys
import threading

import papermill
import zmq
from traitlets.config import Config


def main() -> None:
    """Execute the notebook; an error in it is this process's exit code 1."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    given = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # ipykernel warns of sockets that are not encrypted
    encryption = "auto" if zmq.has("curve") else "disabled"
    papermill.execute_notebook(
        sys.argv[1],
        sys.argv[1],
        parameters=given,
        kernel_name="python3",
        language="python",
        progress_bar=False,
        log_output=True,
        config=Config(KernelManager={"transport_encryption": encryption}),
    )


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
