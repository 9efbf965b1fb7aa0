"""An ONNX model in 8-bit integers, by onnxruntime's static quantisation, and what that costs."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Float

from jaxmnist.constants import MEAN, SD
from jaxmnist.data.dataset import Dataset
from jaxmnist.evaluation import ExampleList
from jaxmnist.export.onnx_graph import INPUT, OUTPUT
from jaxmnist.rng import Stream
from jaxmnist.sharding import put_on_device
from jaxmnist.tasks import Task
from jaxmnist.weights import Loaded

if TYPE_CHECKING:
    import onnx

Images = Float[np.ndarray, "batch 28 width"]  # 0 = ground, 1 = ink
Run = Callable[[Images], Float[np.ndarray, "batch places classes"]]

CALIBRATION, BATCH = 1_000, 100  # examples of training digits from which the ranges are taken
OPERATORS = ["Conv", "Gemm", "Relu", "MaxPool"]


def to_int8(model: "onnx.ModelProto", batches: Iterator[Images]) -> "onnx.ModelProto":
    """Returns a model whose convolutions and dense layers compute in 8-bit integers.

    Args:
      model: in float32; it is left as it is.
      batches: images whose activations say which range each tensor has.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _without_advice():
        given, folded, written = (Path(folder) / name for name in ("given", "folded", "written"))
        given.write_bytes(model.SerializeToString())
        # Batch normalisation goes into the convolution before it, where there is one.
        quant_pre_process(given, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            written,
            _Reader(batches),
            op_types_to_quantize=OPERATORS,
            per_channel=True,
            # Both without a sign: of two bytes, one with a sign, the 16-bit sums of x86 processors
            # without VNNI overflow, which made one classifier lose 0.25 points, not 0.01.
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QUInt8,
            extra_options={"WeightSymmetric": True},
        )
        quantised = onnx.load(written)
    _leave_logits(quantised.graph)
    del quantised.graph.value_info[:]  # shapes that were guessed; some runtimes refuse such files
    quantised.doc_string = model.doc_string
    return quantised


def _leave_logits(graph: "onnx.GraphProto") -> None:
    """Takes away the rounding of the last layer's sums: what is largest is decided by them."""
    last = [node for node in graph.node if node.op_type in ("Conv", "Gemm")][-1].output[0]
    (quantise,) = (node for node in graph.node if last in node.input)
    (back,) = (node for node in graph.node if quantise.output[0] in node.input)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == back.output[0]:
                node.input[place] = last
    graph.node.remove(quantise)
    graph.node.remove(back)


def start(model: "onnx.ModelProto", threads: int = 0) -> Run:
    """Returns the function that a model is, run by onnxruntime; 0 threads means one a core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def run(images: Images) -> Float[np.ndarray, "batch places classes"]:
        (logits,) = session.run([OUTPUT], {INPUT: images})
        return np.asarray(logits)

    return run


def calibration(task: Task, train: Dataset) -> Iterator[Images]:
    """Yields the training examples from which `to_int8` takes the ranges: clean ones."""
    examples = clean_examples(task, train, CALIBRATION, (Stream.DRAW, Stream.AUGMENT), seed=0)
    for images, _ in examples.batches(BATCH, "clean"):
        yield to_pixels(images)


def clean_examples(
    task: Task, digits: Dataset, count: int, streams: tuple[Stream, Stream], seed: int
) -> ExampleList:
    """Returns at most `count` examples to which nothing happens."""
    return ExampleList(
        dataset=put_on_device(digits),
        suites={"clean": Partial(task.clean)},
        count=task.num_examples(count, len(digits)),
        seed=seed,
        streams=streams,
    )


def test_examples(loaded: Loaded, test: Dataset) -> ExampleList:
    """Returns the examples on which `jaxmnist evaluate` measures the suite `clean`."""
    fields = loaded.metadata.eval
    streams = (Stream.TEST_DRAW, Stream.TEST_AUGMENT)
    return clean_examples(loaded.task, test, fields.examples, streams, fields.seed)


def accuracy(loaded: Loaded, run: Run, examples: ExampleList, suite: str = "clean") -> float:
    """Returns the share of examples that an exported network reads right, every digit of them."""
    architecture, right = loaded.network.architecture, []
    for images, labels in examples.batches(BATCH, suite):
        logits = jnp.asarray(run(to_pixels(images)))
        right.append(np.asarray((architecture.predict(logits, labels.shape[1]) == labels).all(-1)))
    return float(np.concatenate(right)[: examples.count].mean())


def to_pixels(images: Any) -> Images:
    """Returns standardised images as they were before: 0 = ground, 1 = ink."""
    return np.asarray(images) * np.float32(SD) + np.float32(MEAN)


class _Reader:
    """Batches, as onnxruntime's calibration asks for them."""

    def __init__(self, batches: Iterator[Images]) -> None:
        self.batches = batches

    def get_next(self) -> dict[str, Images] | None:
        images = next(self.batches, None)
        return None if images is None else {INPUT: images}


@contextmanager
def _without_advice() -> Iterator[None]:
    """Leaves out what the quantiser says, in the root's logger, to people who call it by hand."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
