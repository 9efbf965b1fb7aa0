"""PyTorch as a careful user writes it: digits in memory, nothing read back inside the loop.

There is no schedule, no metric is taken, and the batches are slices of a permutation: it is given
less to do than this project does in the same step.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from jaxmnist.bench.torch_twin import build_twin, make_optimizer
from jaxmnist.bench.turns import Ready
from jaxmnist.bench.workload import Workload
from jaxmnist.errors import UserError

Step = Callable[[Tensor, Tensor], object]  # (images, labels)


class Trainee(NamedTuple):
    """A model in training."""

    model: Callable[[Tensor], Tensor]
    optimizer: torch.optim.Optimizer

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Makes one step, and returns its loss without waiting for it."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(self.model(images), labels.flatten())
        if labels.ndim == 2:  # the published loss is summed over heads
            loss = loss * labels.shape[1]
        loss.backward()
        self.optimizer.step()
        return loss


def start_torch(threads: int) -> None:
    """Sets what PyTorch has for the whole process.

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
    optimizer = make_optimizer(model, {"name": "sgd", "momentum": 0.9}, 0.0)
    Trainee(model, optimizer).step(images, torch.zeros(2, dtype=torch.long, device=torch_device()))


def torch_device() -> torch.device:
    """Returns the device that JAX computes on."""
    return torch.device("cuda" if jax.default_backend() == "gpu" else "cpu")


def make_trainees(
    work: Workload,
    layout: torch.memory_format = torch.contiguous_format,
    *,
    capturable: bool = False,
) -> list[Trainee]:
    """Builds one model for each seed of a workload, with the rate at which ours begins."""
    schedule = work.recipe.schedule
    learning_rate = float(schedule.values(schedule.init(), jax.numpy.int32(0))["learning_rate"])
    trainees = []
    for seed in range(work.settings["num_seeds"]):
        torch.manual_seed(work.settings["seed"] + seed)
        model = build_twin(work.recipe.network.architecture, *work.recipe.task.image_size)
        model.to(torch_device()).to(memory_format=layout)  # type: ignore[call-overload]
        settings = work.settings["optimizer"]
        optimizer = make_optimizer(model, settings, learning_rate, capturable=capturable)
        trainees.append(Trainee(model, optimizer))
    return trainees


def prepare_eager(work: Workload) -> Ready:
    """Prepares plain PyTorch."""
    return _prepare_plain(work, torch.contiguous_format)


def prepare_channels_last(work: Workload) -> Ready:
    """Prepares PyTorch in the layout in which its convolutions are faster."""
    return _prepare_plain(work, torch.channels_last)


def _prepare_plain(work: Workload, layout: torch.memory_format) -> Ready:
    return _in_memory(work, lambda: [each.step for each in make_trainees(work, layout)], layout)


def prepare_compile(work: Workload) -> Ready:
    """Prepares torch.compile, in the faster layout, too.

    Raises:
      UserError: if there is no compiler for what it writes.
    """
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++"))):
        raise UserError("torch.compile needs a C++ compiler: install g++, or leave it out.")
    layout = torch.channels_last

    def steps() -> list[Step]:
        torch.compiler.reset()
        trainees = make_trainees(work, layout)
        return [each._replace(model=torch.compile(each.model)).step for each in trainees]

    return _in_memory(work, steps, layout)


def prepare_cuda_graphs(work: Workload) -> Ready:
    """Prepares steps that are each one CUDA graph, in the faster layout, too."""
    layout = torch.channels_last

    def steps() -> list[Step]:
        trainees = make_trainees(work, layout, capturable=True)
        return [_capture(work, trainee, layout) for trainee in trainees]

    return _in_memory(work, steps, layout)


def _capture(work: Workload, trainee: Trainee, layout: torch.memory_format) -> Step:
    """Records a step as a CUDA graph, which reads its batch from where it stood at first."""
    size, heads = work.recipe.batch_size, work.recipe.network.architecture.heads
    device = torch_device()
    images = torch.zeros(size, 1, *work.recipe.task.image_size, device=device)
    images = images.to(memory_format=layout)
    labels = torch.zeros((size, heads) if heads > 1 else (size,), dtype=torch.long, device=device)

    # As PyTorch's notes on CUDA graphs have it: a few steps on a stream of their own go first.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            trainee.step(images, labels)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        trainee.step(images, labels)

    def step(new_images: Tensor, new_labels: Tensor) -> None:
        images.copy_(new_images)
        labels.copy_(new_labels)
        graph.replay()

    return step


def _in_memory(
    work: Workload,
    make_steps: Callable[[], Sequence[Step]],
    layout: torch.memory_format,
) -> Ready:
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
            for batch in batches(len(images), work.recipe.batch_size, steps, device):
                step(images[batch].to(memory_format=layout), labels[batch])
        synchronise()

    return Ready(run, device_bytes)


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
