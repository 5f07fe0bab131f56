"""The built-in engine: a small offline classifier and plain facts; no server, no network.

Its network also tells which pictures look alike (`Classifier.vector`, `VectorIndex`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import threading
import time
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from imageworks.errors import AnswerError, BackendError
from imageworks.infer.builtin_facts import read_facts
from imageworks.infer.builtin_text import compose_answer
from imageworks.infer.builtin_words import (
    LABELS_FILE,
    MODEL_FILE,
    Finding,
    Thresholds,
    WordTable,
    mean_probabilities,
    parse_words,
    read_data,
    read_manifest,
)
from imageworks.infer.engine import BaseInferenceEngine, ProbeResult
from imageworks.models import Stage, StageAnswer
from imageworks.stages import InferenceResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imageworks.config import PersonalTaggerConfig
    from imageworks.stages import InferenceRequest

logger = logging.getLogger(__name__)

MODEL_NAME = "EfficientNet-Lite0 (ImageNet-1k)"
FACTS_NAME = "pixel and camera facts"
SIDE_PX = 224
INSTALL_HINT = "pip install 'imageworks-personal-tagger[builtin]' adds it."
NOTHING_FOUND = "no object recognised with enough certainty"
NOT_INSTALLED = f"object classifier not installed; {INSTALL_HINT}"
ENGLISH_ONLY = "the built-in engine knows English words only"
NO_HINTS = "the built-in engine cannot follow a hint"
ONE_ANSWER = "the built-in engine has only one answer to a picture"
# Raised whenever a rule of builtin_facts or builtin_text changes an answer.
RULES_VERSION = 1
VECTOR_SIZE = 256
VECTOR_KIND = "efficientnet-lite0-signs256-1"
"""Raised with anything that changes vectors: network, view, projection."""
_PROJECTION_SEED = b"imageworks picture vector 1"
_INT8_MAX = 127
_FIRST_ROWS = 1024
# A share stays in the processor's cache and is too small for OpenBLAS to start threads, which wait
# for one another on a busy machine: 100,000 rows took 6 ms like this, in large shares up to 400 ms.
_ROWS_AT_ONCE = 512


class Classifier:
    """The network in memory: pictures in, probabilities out.

    Args:
        model: The ONNX file's content.

    Raises:
        BackendError: onnxruntime is installed but cannot be used.
    """

    def __init__(self, model: bytes) -> None:
        try:
            import onnxruntime  # noqa: PLC0415  # an extra: the module must import without it
            from onnxruntime.capi import onnxruntime_pybind11_state as errors  # noqa: PLC0415
        except ImportError as error:
            raise _unusable_runtime(error) from error
        self._failures = (errors.Fail, errors.RuntimeException, errors.InvalidGraph)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: standard error may be a screen
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except (*self._failures, errors.InvalidProtobuf, errors.NotImplemented) as error:
            raise _unusable_runtime(error) from error

    def probabilities(self, crops: Sequence[bytes]) -> list[float]:
        """Average probability of each class over several views of one picture.

        Args:
            crops: uint8 RGB rows of ``SIDE_PX`` by ``SIDE_PX`` pixels each.

        Raises:
            AnswerError: The views do not have that size, or the network fails on them.
        """
        (rows,) = self._run("probs", crops)
        return mean_probabilities(rows.tolist())

    def vector(self, view: bytes) -> bytes:
        """What one view looks like, in `VECTOR_SIZE` bytes, to compare by `VectorIndex`.

        Args:
            view: uint8 RGB rows of ``SIDE_PX`` by ``SIDE_PX`` pixels.

        Raises:
            AnswerError: As `probabilities`.
        """
        import numpy as np  # noqa: PLC0415  # comes with onnxruntime

        ((features,),) = self._run("embedding", [view])
        projected = _projection(len(features)) @ (features - features.mean())
        largest = float(np.abs(projected).max()) or 1.0
        shrunk: bytes = np.round(projected * (_INT8_MAX / largest)).astype(np.int8).tobytes()
        return shrunk

    def _run(self, output: str, crops: Sequence[bytes]) -> Any:  # noqa: ANN401  # numpy is an extra
        import numpy as np  # noqa: PLC0415  # comes with onnxruntime

        if not crops or any(len(crop) != SIDE_PX * SIDE_PX * 3 for crop in crops):
            message = "The picture's views do not have the size that the classifier takes."
            raise AnswerError(message, reason="bad-crops")
        views = np.frombuffer(b"".join(crops), np.uint8).reshape(-1, SIDE_PX, SIDE_PX, 3)
        try:
            return self._session.run([output], {"image": views})
        except self._failures as error:
            message = f"The built-in classifier failed on this picture: {error}."
            raise AnswerError(message, reason="classifier-failed") from error


class VectorIndex:
    """Vectors of `Classifier.vector` in memory, to find those most like another.

    Not for use from several threads at once.
    """

    def __init__(self) -> None:
        import numpy as np  # noqa: PLC0415  # comes with onnxruntime

        self._names: list[str] = []
        self._rows: dict[str, int] = {}
        self._vectors = np.zeros((_FIRST_ROWS, VECTOR_SIZE), np.int8)
        self._lengths = np.ones(_FIRST_ROWS, np.float32)

    def add(self, name: str, vector: bytes) -> None:
        """Adds a vector, or puts it in the place of an earlier one of that name."""
        import numpy as np  # noqa: PLC0415  # comes with onnxruntime

        if len(vector) != VECTOR_SIZE:
            message = f"a vector has {VECTOR_SIZE} bytes, not {len(vector)}"
            raise ValueError(message)
        row = self._rows.setdefault(name, len(self._names))
        if row == len(self._names):
            self._names.append(name)
        if row == len(self._vectors):
            self._vectors = np.concatenate((self._vectors, np.zeros_like(self._vectors)))
            self._lengths = np.concatenate((self._lengths, np.ones_like(self._lengths)))
        self._vectors[row] = np.frombuffer(vector, np.int8)
        self._lengths[row] = np.linalg.norm(self._vectors[row].astype(np.float32)) or 1.0

    def nearest(self, vector: bytes, count: int) -> list[tuple[str, float]]:
        """The names most alike with their cosine, -1..1, best first; 10 ms for 100,000."""
        import numpy as np  # noqa: PLC0415  # comes with onnxruntime

        wanted = np.frombuffer(vector, np.int8).astype(np.float32)
        wanted /= np.linalg.norm(wanted) or 1.0
        used = len(self._names)
        cosines = np.empty(used, np.float32)
        share = np.empty((_ROWS_AT_ONCE, VECTOR_SIZE), np.float32)
        for start in range(0, used, _ROWS_AT_ONCE):
            end = min(start + _ROWS_AT_ONCE, used)
            np.copyto(share[: end - start], self._vectors[start:end])
            np.matmul(share[: end - start], wanted, out=cosines[start:end])
        cosines /= self._lengths[:used]
        if not used:
            return []
        best = np.argpartition(-cosines, min(count, used) - 1)[:count]
        ranked = sorted(
            ((float(cosines[row]), int(row)) for row in best), key=lambda r: (-r[0], r[1])
        )
        return [(self._names[row], cosine) for cosine, row in ranked]


@lru_cache(maxsize=1)
def _projection(features: int) -> Any:  # noqa: ANN401  # numpy is an extra
    """A matrix of signs that keeps angles (Achlioptas, JCSS 66, 2003), the same on every machine.

    At a cosine of 0.9 it errs by 0.012 with 256 rows.
    """
    import numpy as np  # noqa: PLC0415  # comes with onnxruntime

    bits = hashlib.shake_256(_PROJECTION_SEED).digest(VECTOR_SIZE * features // 8)
    signs = np.unpackbits(np.frombuffer(bits, np.uint8)).astype(np.float32) * 2 - 1
    return signs.reshape(VECTOR_SIZE, features)


def load_classifier() -> Classifier:
    """The network of this program's own data.

    Raises:
        BackendError: onnxruntime cannot be used, or the data are damaged.
    """
    return Classifier(read_data(MODEL_FILE))


def _unusable_runtime(error: Exception) -> BackendError:
    message = f"onnxruntime is installed but cannot run the built-in classifier: {error}."
    return BackendError(message, hint="install it again.", reason="builtin-runtime")


def is_runtime_installed() -> bool:
    """Whether the extra ``builtin`` is there; looks without loading it."""
    return all(find_spec(name) is not None for name in ("onnxruntime", "numpy"))


class BuiltinEngine(BaseInferenceEngine):
    """Answers from an object classifier in this process and from facts; says so in every answer.

    Objects get a score: the sum of the classifier's own probabilities. Facts read from pixels and
    camera data get none, since a value against a limit is not a probability. Without the extra
    ``builtin`` only the facts are left.

    Args:
        config: Uses `context`, `language` and `max_workers`.
        pixels: Takes a JPEG and a side in pixels, gives views of it as uint8 RGB rows.
        thresholds: From which probability on a word is said.
    """

    backend = "builtin"
    base_url = ""

    def __init__(
        self,
        config: PersonalTaggerConfig,
        pixels: Callable[[bytes, int], list[bytes]],
        thresholds: Thresholds | None = None,
    ) -> None:
        self._asked = frozenset(config.context) & {"camera", "date", "place"}
        self._language = config.language
        self._max_workers = config.max_workers
        self._pixels = pixels
        self._thresholds = thresholds or Thresholds()
        self._has_classifier = is_runtime_installed()
        self._loading = threading.Lock()
        self._loaded: tuple[Classifier, WordTable] | None = None

    def describe(self) -> str:
        """What the engine calls itself in every output."""
        if self._has_classifier:
            return (
                f"built-in offline classifier: {MODEL_NAME}, objects and facts only, no captioner"
            )
        return f"built-in {FACTS_NAME} ({NOT_INSTALLED})"

    def models(self) -> dict[str, str]:
        """The same for each stage."""
        return {stage.value: self._model_name() for stage in Stage}

    def fingerprint(self) -> str:
        """Changes with data, rules, thresholds, kinds of facts, language and the extra."""
        parts = [
            self.backend,
            RULES_VERSION,
            read_manifest() if self._has_classifier else FACTS_NAME,
            [self._thresholds.class_score, self._thresholds.broader_score],
            sorted(self._asked),
            self._language,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def suggested_concurrency(self) -> int:
        """One picture a processor."""
        return self._max_workers or os.cpu_count() or 1

    async def preflight(self) -> tuple[ProbeResult, ...]:
        """One probe: the classifier loads, or is not installed and will be done without."""
        started = time.perf_counter()
        if self._has_classifier:
            try:
                await asyncio.to_thread(self._load)
            except BackendError as error:
                return (
                    ProbeResult(
                        "built-in",
                        is_ok=False,
                        message=error.message,
                        hint=error.hint,
                        reason=error.reason,
                    ),
                )
        message = f"This is the {self.describe()}."
        hint = "" if self._has_classifier else INSTALL_HINT
        latency_s = time.perf_counter() - started
        return (
            ProbeResult("built-in", is_ok=True, message=message, hint=hint, latency_s=latency_s),
        )

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """One answer that holds every stage asked.

        Raises:
            PhotoError: The picture cannot be decoded.
            BackendError: The engine's own data are damaged.
        """
        started = time.perf_counter()
        chains: tuple[tuple[Finding, ...], ...] = ()
        if self._has_classifier:
            chains = await asyncio.to_thread(self._classify, request.jpeg)
        facts = read_facts(request, self._asked)
        answer = StageAnswer(
            stages=request.stages,
            model=self._model_name(),
            system="",
            user="",
            text=compose_answer(chains, facts, request.stages),
            duration_s=time.perf_counter() - started,
        )
        logger.debug("built-in answer in %.3f s, %d things", answer.duration_s, len(chains))
        notes = self._notes(request, is_object_found=bool(chains))
        return InferenceResult((answer,), has_honest_scores=True, notes=notes)

    async def is_alive(self) -> bool:
        """Always: there is no server to lose."""
        return True

    async def aclose(self) -> None:
        """Gives the network's memory back; another picture would load it again."""
        with self._loading:
            self._loaded = None

    def _model_name(self) -> str:
        return MODEL_NAME if self._has_classifier else FACTS_NAME

    def _classify(self, jpeg: bytes) -> tuple[tuple[Finding, ...], ...]:
        classifier, words = self._load()
        probabilities = classifier.probabilities(self._pixels(jpeg, SIDE_PX))
        return words.find(probabilities, self._thresholds)

    def _load(self) -> tuple[Classifier, WordTable]:
        with self._loading:
            if self._loaded is None:
                words = parse_words(read_data(LABELS_FILE).decode())
                self._loaded = (load_classifier(), words)
            return self._loaded

    def _notes(self, request: InferenceRequest, *, is_object_found: bool) -> tuple[str, ...]:
        notes = []
        if not self._has_classifier:
            notes.append(NOT_INSTALLED)
        elif not is_object_found:
            notes.append(NOTHING_FOUND)
        if self._language.casefold().split("-", 1)[0] != "en":
            notes.append(ENGLISH_ONLY)
        if request.hint:
            notes.append(NO_HINTS)
        if request.sample:
            notes.append(ONE_ANSWER)
        return tuple(notes)
