"""llama.cpp's own HTTP server in a process: `python -m tests.support.llama_server MODEL MMPROJ`.

Says `READY http://…` on standard output once it listens.
"""

from __future__ import annotations

import argparse
import sys
import threading

import xllamacpp


def main() -> None:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser(description="llama.cpp on loopback, for tests")
    parser.add_argument("model")
    parser.add_argument("mmproj")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--image-max", type=int, default=72, help="most tokens a picture takes")
    options = parser.parse_args()
    parameters = xllamacpp.CommonParams()
    parameters.model.path = options.model
    parameters.mmproj.path = options.mmproj
    parameters.port = options.port
    parameters.n_ctx = 16384
    parameters.n_parallel = options.slots
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.endpoint_metrics = parameters.endpoint_slots = True
    parameters.verbosity = 1
    parameters.image_max_tokens = options.image_max
    parameters.model_alias = {"toy"}
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"READY {server.listening_address}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
