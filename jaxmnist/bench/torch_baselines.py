"""PyTorch as a careful user writes it: digits in memory, nothing read back inside the loop.

There is no schedule, no metric is taken, and the batches are slices of a permutation: it is given
less to do than this project does in the same step.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import jax
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, ctc_loss, log_softmax

from jaxmnist.bench.interleave import Runner
from jaxmnist.bench.torch_model import build_torch_model, make_optimizer
from jaxmnist.bench.workload import Workload
from jaxmnist.config import Optimizer
from jaxmnist.constants import BLANK
from jaxmnist.errors import UserError

Step = Callable[[Tensor, Tensor], object]  # (images, labels)


@dataclass(frozen=True)
class TorchTrainer:
    """A model in training."""

    model: Callable[[Tensor], Tensor]
    optimizer: torch.optim.Optimizer

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Runs one step, and returns its loss without waiting for it."""
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.model(images)
        if logits.ndim == 3:  # of columns
            log_probs = log_softmax(logits, -1).transpose(0, 1)
            columns = torch.full((len(logits),), logits.shape[1])
            lengths = (labels != BLANK).sum(1)
            loss = ctc_loss(
                log_probs, labels, columns, lengths, blank=BLANK, reduction="none"
            ).mean()
        else:
            loss = cross_entropy(logits, labels.flatten())
            if labels.ndim == 2:  # the published loss is summed over heads
                loss = loss * labels.shape[1]
        loss.backward()
        self.optimizer.step()
        return loss


def start_torch(threads: int) -> None:
    """Sets PyTorch's process-wide options.

    Raises:
      UserError: if JAX uses an accelerator that this PyTorch cannot use.
    """
    torch.set_num_threads(threads)
    if jax.default_backend() == "gpu" and not torch.cuda.is_available():
        raise UserError(
            "JAX uses a GPU and this PyTorch has none: install its CUDA build, or set "
            "JAX_PLATFORMS=cpu."
        )
    torch.set_float32_matmul_precision("high")  # TensorFloat-32 on GPUs, as JAX has it
    torch.backends.cudnn.benchmark = True
    # Libraries load at first use, which is nobody's memory and nobody's time.
    model = nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten()).to(torch_device())
    images = torch.zeros(2, 1, 28, 28, device=torch_device())
    optimizer = make_optimizer(model, Optimizer(name="sgd"), 0.0)
    TorchTrainer(model, optimizer).step(
        images, torch.zeros(2, dtype=torch.long, device=torch_device())
    )


def torch_device() -> torch.device:
    """Returns the device that JAX computes on."""
    return torch.device("cuda" if jax.default_backend() == "gpu" else "cpu")


def make_trainers(
    work: Workload,
    layout: torch.memory_format = torch.contiguous_format,
    *,
    capturable: bool = False,
) -> list[TorchTrainer]:
    """Builds one model for each seed of a workload, with the rate at which ours begins."""
    schedule = work.experiment.spec.schedule
    start = schedule.init(work.config.schedule.learning_rate)
    learning_rate = float(schedule.hyperparams(start, jax.numpy.int32(0))["learning_rate"])
    trainers = []
    for seed in range(work.config.num_seeds):
        torch.manual_seed(work.config.seed + seed)
        model = build_torch_model(
            work.experiment.network.architecture, *work.experiment.task.image_size
        )
        model.to(torch_device()).to(memory_format=layout)  # type: ignore[call-overload]
        optimizer = make_optimizer(
            model, work.config.optimizer, learning_rate, capturable=capturable
        )
        trainers.append(TorchTrainer(model, optimizer))
    return trainers


def prepare_eager(work: Workload) -> Runner:
    """Prepares plain PyTorch."""
    return _prepare_plain(work, torch.contiguous_format)


def prepare_channels_last(work: Workload) -> Runner:
    """Prepares PyTorch in the layout in which its convolutions are faster."""
    return _prepare_plain(work, torch.channels_last)


def _prepare_plain(work: Workload, layout: torch.memory_format) -> Runner:
    return _in_memory(work, lambda: [each.step for each in make_trainers(work, layout)], layout)


def prepare_compile(work: Workload) -> Runner:
    """Prepares torch.compile, in the faster layout, too.

    Raises:
      UserError: if there is no compiler for what it writes.
    """
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++"))):
        raise UserError("torch.compile needs a C++ compiler: install g++, or leave it out.")
    layout = torch.channels_last

    def steps() -> list[Step]:
        torch.compiler.reset()
        trainers = make_trainers(work, layout)
        return [replace(each, model=torch.compile(each.model)).step for each in trainers]

    return _in_memory(work, steps, layout)


def prepare_cuda_graphs(work: Workload) -> Runner:
    """Prepares steps that are each one CUDA graph, in the faster layout, too."""
    layout = torch.channels_last

    def steps() -> list[Step]:
        trainers = make_trainers(work, layout, capturable=True)
        return [_capture(work, trainer, layout) for trainer in trainers]

    return _in_memory(work, steps, layout)


def _capture(work: Workload, trainer: TorchTrainer, layout: torch.memory_format) -> Step:
    """Records a step as a CUDA graph, which reads its batch from where it stood at first."""
    size, heads = work.config.batch_size, work.experiment.task.max_length
    device = torch_device()
    images = torch.zeros(size, 1, *work.experiment.task.image_size, device=device)
    images = images.to(memory_format=layout)
    labels = torch.zeros((size, heads) if heads > 1 else (size,), dtype=torch.long, device=device)

    # As PyTorch's notes on CUDA graphs have it: a few steps on a stream of their own go first.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            trainer.step(images, labels)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        trainer.step(images, labels)

    def step(new_images: Tensor, new_labels: Tensor) -> None:
        images.copy_(new_images)
        labels.copy_(new_labels)
        graph.replay()

    return step


def _in_memory(
    work: Workload,
    make_steps: Callable[[], Sequence[Step]],
    layout: torch.memory_format,
) -> Runner:
    """Prepares training on examples that lie ready on the device, one seed after the other."""
    device_bytes = device_meter()
    assert work.ready is not None
    ready_images, ready_labels = work.ready
    device = torch_device()
    images = torch.tensor(ready_images, device=device).unsqueeze(1)
    labels = torch.tensor(ready_labels, dtype=torch.long, device=device).squeeze(1)
    all_steps = make_steps()

    def run(steps: int) -> None:
        for step in all_steps:
            for batch in batches(len(images), work.config.batch_size, steps, device):
                step(images[batch].to(memory_format=layout), labels[batch])
        synchronise()

    return Runner(run, device_bytes)


def batches(examples: int, size: int, steps: int, device: torch.device) -> Iterator[Tensor]:
    """Yields the numbers of the examples of `steps` batches; every epoch has a new order."""
    while steps > 0:
        order = torch.randperm(examples, device=device)
        for start in range(0, min(steps * size, examples), size):
            yield order[start : start + size]
        steps -= examples // size


def synchronise() -> None:
    """Waits for the device."""
    if torch_device().type == "cuda":
        torch.cuda.synchronize()


def device_meter() -> Callable[[], int | None]:
    """Returns a function that says how much of a GPU's memory was taken, at most, from now on."""
    if torch_device().type != "cuda":
        return lambda: None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    return lambda: torch.cuda.max_memory_allocated() - before
